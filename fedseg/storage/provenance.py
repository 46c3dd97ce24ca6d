"""What a product on disk was made from, and whether it is still the product of these inputs.

A product is a file or folder that fedseg keeps so as not to make it again: a score, a checkpoint, a
table of pixel counts. It is used again only if its record names the very inputs at hand and its
content is what was written. Otherwise it is made again, and a notice says why.

A JSON product carries its record: `made_from`, the inputs by name, and `checksum`, over everything
else in the file. A folder is sealed by a `made_from.json`, which also holds a hash of each file.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedseg.errors import without_remedy
from fedseg.files import DamagedFile, damaged_file, file_sha256, read_json, write_json

RECORD = "made_from.json"
"""The record of a folder, in it."""

Inputs = Mapping[str, Any]
"""What something is made from, JSON values by a name that people understand ("labels")."""

notices = logging.getLogger("fedseg.notices")
"""Where it is reported that a product is made again, and why."""


def write_product(path: Path, content: Mapping[str, Any], inputs: Inputs) -> None:
    """Write a JSON product with its record, atomically."""
    write_json(path, _sealed({**content, "made_from": dict(inputs)}))


def read_product(path: Path, inputs: Inputs) -> dict[str, Any] | None:
    """Read a JSON product, if it is there, undamaged and made from these inputs.

    Args:
        path: the file, or the record of a folder.
        inputs: what it would be made from now.

    Returns:
        Its content without the record; None where it has to be made (again). If a file is there,
        a notice says why it can't be used.
    """
    if not path.is_file():
        return None
    try:
        content, made_from = open_product(path)
    except DamagedFile as error:
        note_damage(error)
        return None
    if changed := changed_inputs(made_from, inputs):
        notices.warning("%s: its %s changed; making it again", path, " and ".join(changed))
        return None
    return content


def note_damage(error: DamagedFile) -> None:
    """Report that a damaged product is made again."""
    notices.warning("%s; making it again", without_remedy(error))


def open_product(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a JSON product and its record, whatever it was made from.

    Returns:
        Its content, and the inputs it was made from.

    Raises:
        DamagedFile: it is not JSON, has no record, or its content is not what was written.
    """
    content = read_json(path)
    made_from, checksum = content.pop("made_from", None), content.pop("checksum", None)
    if not isinstance(made_from, dict):
        raise damaged_file(path, "it does not say what it was made from")
    if checksum != _checksum({**content, "made_from": made_from}):
        raise damaged_file(path, "its content is not what was written")
    return content, made_from


def seal(folder: Path, inputs: Inputs) -> None:
    """Record what a folder was made from, and a hash of each file that is in it now."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != RECORD)
    hashes = {path.name: file_sha256(path) for path in files}
    write_product(folder / RECORD, {"files": hashes}, inputs)


def verify(folder: Path) -> None:
    """See that the files of a sealed folder are the ones that were sealed.

    A folder without a record, such as a checkpoint made by another tool, has nothing to verify.

    Raises:
        DamagedFile: a file is missing or its content changed.
    """
    if not (folder / RECORD).is_file():
        return
    content, _ = open_product(folder / RECORD)
    files = content.get("files")
    if not isinstance(files, dict) or any("/" in name or "\0" in name for name in files):
        raise damaged_file(folder / RECORD, "it names no files of this folder")
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            raise DamagedFile(f"{path}: missing; restore it, or remove {folder} to make it again")
        if file_sha256(path) != known:
            raise DamagedFile(
                f"{path}: is not the file that was written; restore it, remove {folder} to make it "
                f"again, or remove {RECORD} beside it to accept the file as it is"
            )


def is_product(folder: Path, inputs: Inputs) -> bool:
    """Whether a sealed folder is there, undamaged and made from these inputs.

    If a folder is there that is not, a notice says why.
    """
    if folder.is_dir() and not (folder / RECORD).is_file():
        notices.warning("%s: does not say what it was made from; making it again", folder)
    if read_product(folder / RECORD, inputs) is None:
        return False
    try:
        verify(folder)
    except DamagedFile as error:
        note_damage(error)
        return False
    return True


def changed_inputs(known: Inputs, inputs: Inputs) -> list[str]:
    """Names of the inputs that are not the same in both, sorted."""
    plain = json.loads(json.dumps(dict(inputs)))  # tuples become lists, as in the file
    names = known.keys() | plain.keys()
    shared = known.keys() & plain.keys()
    return sorted(name for name in names if name not in shared or known[name] != plain[name])


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "checksum": _checksum(content)}


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
