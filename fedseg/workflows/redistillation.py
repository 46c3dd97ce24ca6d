"""The server's part once more, from saved clients: without one that left, or with a late one."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from fedseg import config
from fedseg.config import Client, Federation
from fedseg.errors import FedsegError, did_you_mean
from fedseg.files import check_writable, holders_near, read_json, read_text, write_json
from fedseg.models.info import MOST_METADATA
from fedseg.participants.metadata import parse_upload
from fedseg.planning.quick_checks import server_problems
from fedseg.run.clients import discard_damaged, good_clients
from fedseg.run.folder import check_folder, find_run, open_run
from fedseg.run.progress import Progress, silent
from fedseg.run.records import Result
from fedseg.run.result import gather_result
from fedseg.run.uploads import ACCEPTED, UPLOAD, Upload, read_accepted
from fedseg.storage.hashes import content_hash


def redistill(
    source: Path | str,
    out: Path | str,
    *,
    without: Sequence[str] = (),
    joiners: Sequence[Path | str] = (),
    settings: Sequence[str] = (),
    progress: Progress = silent,
) -> Result:
    """Make a new run folder with other clients or settings, and do the server's part in it.

    Nothing of a client that is left out enters the new folder. An interrupted call goes on where it
    was when it is called again.

    Args:
        source: a run folder; it stays as it is.
        out: the new run folder.
        without: names of clients to leave out.
        joiners: checkpoints of clients to add, folders or `hf://REPOSITORY[@REVISION]`, with the
            upload.json or client.json that their owners' training left there.
        settings: `KEY=VALUE` each, in place of the run's; not of what the clients did.
        progress: receives the state of the work.

    Raises:
        FedsegError: no run, no such client, a setting of a client's training, or a checkpoint that
            does not pass an upload's checks.

    Examples:
        >>> import fedseg
        >>> result = fedseg.distill("runs/embedded", "runs/two", without=["suburb"])
        >>> sorted(result.clients)
        ['boulevard', 'oldtown']
    """
    source, out = Path(source), Path(out)
    run = find_run(source)
    check_writable(out)
    for setting in settings:
        if setting.partition("=")[0].split(".")[0].strip() in ("clients", "training"):
            raise FedsegError(f"--set {setting}: the clients are trained already; set server.*")
    federation = config.load(run.config)
    changed = config.load(run.config, settings=settings)
    for problem in server_problems(changed):
        raise problem
    saved = good_clients(run, federation)
    for name in without:
        if name not in saved:
            raise FedsegError(f"{source}: holds no client '{name}'; {did_you_mean(name, saved)}")
    kept = {name: folder for name, folder in saved.items() if name not in without}
    if not kept and not joiners:
        held = f"; it holds {', '.join(saved)}" if saved else ""
        raise FedsegError(f"{source}: no client is left; keep one, or add one --with{held}")
    folders = _local_folders(joiners)
    late = {_read_upload(folder, federation).name: folder for folder in folders}
    federation = _with_clients(changed, kept, late, run.config)
    check_folder(out, federation)
    from fedseg.models.checkpoints import StoredWeights  # these import torch
    from fedseg.participants.uploads import store_upload
    from fedseg.report.write import conclude_run
    from fedseg.workflows.server import run_server

    new_run = open_run(out, federation)
    federation = config.load(new_run.config)
    discard_damaged(new_run, federation)
    for name, folder in (kept | late).items():
        if read_accepted(new_run.clients / name) is None:
            upload, weights = _read_upload(folder, federation), StoredWeights(folder)
            if upload.base:  # it sends a part, but in its folder the model is whole
                changes = {"base": None, "sha256": content_hash(weights)}
                upload = upload.model_copy(update=changes)
            store_upload(new_run, upload, weights)
    for model, site in permutations(kept, 2):
        if (known := run.cross_site_evaluation(model, site)).is_file():
            write_json(new_run.cross_site_evaluation(model, site), read_json(known))
    seconds = run_server(new_run, federation, progress)
    result = gather_result(new_run, federation, "completed", {}, seconds)
    conclude_run(new_run, federation, result, progress)
    return result


def _local_folders(checkpoints: Sequence[Path | str]) -> list[Path]:
    """Folders of checkpoints; those on the hub are downloaded."""
    if not checkpoints:
        return []
    from fedseg.models.hub import local_folder  # it imports the hub's client

    return [local_folder(checkpoint) for checkpoint in checkpoints]


def _with_clients(
    federation: Federation, kept: dict[str, Path], late: dict[str, Path], origin: Path
) -> Federation:
    """The same federation of other clients. Late ones have no data here, and need none."""
    clients = [client for client in federation.clients if client.name in kept]
    for folder in late.values():
        upload = _read_upload(folder, federation)
        clients.append(Client(name=upload.name, dataset=upload.dataset, model=upload.info.model))
    data = federation.model_dump() | {
        "clients": [client.model_dump() for client in clients],
        "min_clients": max(min(federation.min_clients, len(clients)), 1),
        "evaluators": [],
    }
    return config.parse(Federation, data, origin)


def _read_upload(folder: Path, federation: Federation) -> Upload:
    for name in (ACCEPTED, UPLOAD):
        if (folder / name).is_file():
            try:
                text = read_text(folder / name, MOST_METADATA)
                return parse_upload(text, classes=federation.classes)
            except (FedsegError, ValueError) as error:
                raise FedsegError(f"{folder / name}: {error}") from None
    hint = holders_near(folder, ACCEPTED, UPLOAD)
    raise FedsegError(f"{folder}: no client's checkpoint folder; expected upload.json in it{hint}")
