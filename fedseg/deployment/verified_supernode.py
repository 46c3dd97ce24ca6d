"""Flower's SuperNode, which also refuses a signed app that is older than one it ran before.

A signature tells when it was made. Without a memory of the newest, a server could send an app that
was signed once and has been replaced since, with its faults.

Run as a script: `python -m fedseg.deployment.verified_supernode SERIAL [option ...]`, with the
options of `flower-supernode`.
"""

import json
import sys
from functools import partial
from pathlib import Path

from fedseg.files import read_json, write_json
from fedseg.flower.internals import App, is_signed, run_supernode


def is_current(serial: Path, app: App, trusted: dict[str, str]) -> bool:
    """Whether an app has a signature of a trusted key that is no older than any seen before.

    Args:
        serial: file that holds when the newest app that was run was signed.
        app: the app, with its signatures.
        trusted: public keys by id.
    """
    times = [
        json.loads(app.verifications[key])["signed_at"]
        for key in trusted.keys() & app.verifications.keys()
        if is_signed(app, {key: trusted[key]})
    ]
    newest = read_json(serial)["signed_at"] if serial.is_file() else 0
    if not times or max(times) < newest:
        return False
    if max(times) > newest:
        write_json(serial, {"signed_at": max(times)})
    return True


def main() -> None:
    """Run the SuperNode with the options of this command."""
    serial, *options = sys.argv[1:]
    run_supernode(options, partial(is_current, Path(serial)))


if __name__ == "__main__":
    main()
