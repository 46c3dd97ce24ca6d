"""A client's part: train on private data, and prepare the one upload."""

import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from fedseg.config import PRIVATE, SUPERVISED, Client, plugins_of_client
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import fingerprint
from fedseg.data.label_map import LabelMap
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.errors import FedsegError, PublicError
from fedseg.files import digest, remove_unfinished
from fedseg.models import checkpoints
from fedseg.models.build import best_device, check_size, free_memory, model_inputs
from fedseg.participants.allowance import Allowance
from fedseg.run.progress import Progress
from fedseg.run.uploads import Upload, read_upload
from fedseg.storage import provenance
from fedseg.storage.hashes import content_hash
from fedseg.training.callbacks import Callback, ReportProgress
from fedseg.training.loop import TrainingRun
from fedseg.training.supervised import PrivacyLedger, train_supervised

KEPT = 3
"""Checkpoints that a client keeps."""


def train_client(
    client: Client,
    seed: int,
    home: Path,
    progress: Progress,
    callbacks: Sequence[Callback] = (),
    allowance: Allowance | None = None,
) -> Path:
    """Train a client's model; if this was done before on the same data, in the same way, take that.

    Args:
        client: its half of the configuration.
        seed: of the federation, and of the untrained weights; a client's own seed, for all that it
            draws, follows from it and from its name; with an allowance, from a secret of the node.
        home: the client's private folder, for its training state and its checkpoint.
        progress: receives the state of the work.
        callbacks: called while it trains; what they get stays on this machine.
        allowance: of a deployed node's owner.

    Returns:
        A checkpoint folder with `upload.json`, an `Upload`.

    Raises:
        FedsegError: the data or the model can't be used.
    """
    dataset = open_dataset(client)
    LabelMap(dataset.card, client.model.classes).train_ids()  # before the survey, which takes long
    if client.privacy and client.trainer not in (SUPERVISED, PRIVATE):
        raise PublicError(f"trains privately, so not with the trainer '{client.trainer}'")
    settings = digest(
        client.model_dump_json(exclude={"root", "dataset", "model"}),
        model_inputs(client.model),
        seed,
        fingerprint(dataset),
        *([plugins] if (plugins := plugins_of_client(client)) else []),
    )
    folder = home / f"checkpoint-{settings}"
    if _is_whole(folder):
        return folder
    remove_unfinished(home)
    started = time.monotonic()
    try:
        check_size(client.model, client.training.crop, client.training.batch_size)
    except FedsegError as error:
        raise PublicError(str(error)) from None  # it names nothing but the model and its sizes
    surveyed = survey_labels(dataset, progress)
    counts = train_id_counts(dataset, surveyed, client.model.classes)
    if not counts.any():
        raise PublicError(f"client '{client.name}': no labelled pixel in its data; check the card")

    if allowance:
        allowance.check_draws(client, counts)
        if client.privacy is None:  # which counts once it is paid for
            allowance.count_training(settings)
    state = home / f"training-{settings}.safetensors"
    run = TrainingRun(
        settings=client.training,
        seed=allowance.draw_seed(settings) if allowance else client_seed(seed, client),
        device=best_device(),
        state=state,
        callbacks=(ReportProgress(progress), *callbacks),
    )
    model, trainer, ledger = client.model, client.trainer, None
    if client.privacy:
        pay = partial(allowance.pay, dataset, settings) if allowance else None
        ledger = PrivacyLedger(client.privacy, pay)
        # A batch normalisation mixes images, whose gradients are clipped one by one.
        model, trainer = model.model_copy(update={"norm": "group"}), PRIVATE
    network, info, part = train_supervised([dataset], [counts], model, run, seed, trainer, ledger)
    cost = ledger and ledger.cost
    sent = part.weights if part else network.state_dict()
    upload = Upload(
        name=client.name,
        dataset=dataset.card.name,
        info=info,
        images=len(dataset),
        iterations=client.training.iterations,
        seconds=round(time.monotonic() - started, 1),
        bytes=sum(tensor.nbytes for tensor in sent.values()),
        sha256=content_hash(sent),
        base=part and part.base,
        epsilon=cost and cost.epsilon,
        delta=cost and cost.delta,
    )
    checkpoints.save(
        folder, network, info, part=part and part.weights, upload=upload.model_dump(mode="json")
    )
    state.unlink(missing_ok=True)
    _prune(home)
    del network, run
    free_memory()  # a simulation's process stays until the federation ends
    return folder


def _prune(home: Path) -> None:
    """Remove all but the newest checkpoints and half-done trainings: each task makes its own."""
    for pattern in ("checkpoint-*", "training-*"):
        paths = sorted(home.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in paths[KEPT:]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def client_seed(seed: int, client: Client) -> int:
    """A client's own seed: equal clients of a federation must not draw equal random numbers."""
    return zlib.crc32(f"{seed}/{client.name}".encode())


def packed_upload(folder: Path) -> tuple[Mapping[str, Tensor], Upload]:
    """All that leaves a client, of what `train_client` left: its weights and its `Upload`."""
    upload = read_upload(folder)
    return sent_weights(folder, upload), upload


def sent_weights(folder: Path, upload: Upload) -> Mapping[str, Tensor]:
    """Weights of a client's checkpoint that leave it: all, or those that were trained."""
    return checkpoints.StoredWeights(
        folder, checkpoints.PART if upload.base else checkpoints.WEIGHTS
    )


def _is_whole(folder: Path) -> bool:
    """Whether a checkpoint is there, with the very weights that were written."""
    try:
        provenance.verify(folder)
        upload = read_upload(folder)
        return content_hash(sent_weights(folder, upload)) == upload.sha256
    except (OSError, ValueError, FedsegError):
        return False
