"""The clients' models in a run folder: which were accepted, and are still as they were then."""

import shutil
from pathlib import Path

from fedseg.config import Federation
from fedseg.errors import FedsegError, without_remedy
from fedseg.models.info import load_info
from fedseg.run.folder import Run
from fedseg.run.uploads import ACCEPTED, read_accepted
from fedseg.storage import provenance
from fedseg.storage.provenance import notices


def good_clients(run: Run, federation: Federation) -> dict[str, Path]:
    """Checkpoint folders of the clients whose upload was accepted, in the configured order.

    Raises:
        FedsegError: a client's files are not those that were accepted.
    """
    found = {client.name: run.clients / client.name for client in federation.clients}
    good = {name: path for name, path in found.items() if (path / ACCEPTED).is_file()}
    for name, folder in good.items():
        check_client(name, folder)
    return good


def check_client(name: str, folder: Path) -> None:
    """See that a client's folder holds what the server accepted from that client.

    Raises:
        FedsegError: it was damaged or exchanged.
    """
    load_info(folder)
    provenance.verify(folder)
    upload = read_accepted(folder)
    if upload is None or upload.name != name:
        stored = upload and upload.name
        raise FedsegError(
            f"{folder}: holds the model of client '{stored}', not of '{name}'; restore it, or "
            "remove the folder and run the same command again"
        )


def discard_damaged(run: Run, federation: Federation) -> None:
    """Remove clients whose files were damaged or exchanged, so that they are asked again."""
    for client in federation.clients:
        folder = run.clients / client.name
        if not folder.is_dir():
            continue
        try:
            check_client(client.name, folder)
        except FedsegError as error:
            notices.warning("%s; asking the client again", without_remedy(error))
            shutil.rmtree(folder)
