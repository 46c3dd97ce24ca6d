"""What a run writes to the disk, and whether there is room for it."""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fedseg.config import Client, Federation, Model, Server, Training
from fedseg.data.augment import CropSource
from fedseg.data.dataset import open_dataset
from fedseg.data.images import stored_size
from fedseg.data.resized import LARGEST, kept_bytes
from fedseg.errors import FedsegError
from fedseg.evaluation.inference import input_size
from fedseg.method.teachers import TARGET_STRIDE
from fedseg.method.views import ViewSource
from fedseg.models.build import outline_model
from fedseg.models.checkpoints import describe_model
from fedseg.planning.stages import made_images

COMPRESSED = 0.3
"""Part of a prediction's size that is left of it on disk; about 0.2 of a trained model's."""
FILE_HEADERS = 600
"""Bytes of a prediction's file besides what is compressed (604 were measured for a single cell)."""


class Written(NamedTuple):
    """Bytes that a run writes."""

    uploads: int
    labels: int
    """What the clients' models predict for the server's images; removed before the run ends."""
    targets: int
    """Likewise."""
    model: int
    """The global one."""


def written_bytes(federation: Federation) -> Written:
    """What a simulation writes, from the sizes of its models and of the server's images.

    Raises:
        FedsegError: the server's images or a model can't be used.
    """
    server = federation.server
    images = open_dataset(server, labelled=False)
    return written_for(
        [client.model for client in federation.clients],
        federation.model,
        server.distillation.training,
        len(images) + made_images(server.augmentation),
        stored_size(images.images[0]),
    )


def written_for(
    clients: Sequence[Model], model: Model, training: Training, count: int, size: tuple[int, int]
) -> Written:
    """What a simulation writes that labels so many images of one size.

    Args:
        clients: their models.
        model: the global one.
        training: how that is trained.
        count: how many images.
        size: their height and width.
    """
    info = describe_model(model, training)
    rows, columns = input_size(*size, info)
    cells = (rows // TARGET_STRIDE) * (columns // TARGET_STRIDE) * len(info.classes)
    labels = count * len(clients) * (cells * COMPRESSED + FILE_HEADERS)
    return Written(
        sum(map(weight_bytes, clients)),
        round(labels),
        count * cells,
        weight_bytes(model),
    )


def cached_bytes(clients: Sequence[Client], server: Server, model: Model) -> int:
    """Bytes that the trainings of a simulation keep in the cache, `data.resized.LARGEST` at most.

    Clients' images and labels, and the server's images, at the size that crops are cut from; the
    global model decides that of the server's.
    """
    total = 0
    for client in clients:
        source = CropSource(client.training.crop, client.training.scale[0])
        total += kept_bytes(open_dataset(client), source)
    settings = server.distillation.training
    student = describe_model(model, settings)
    views = ViewSource(settings.crop, settings.scale[0], student)
    total += kept_bytes(open_dataset(server, labelled=False), views)
    return min(total, LARGEST)


def check_room(federation: Federation, out: Path) -> None:
    """See that what a simulation has still to write fits on the disk.

    Args:
        federation: a checked configuration, whose data and models can be used.
        out: the run folder, there or not.

    Raises:
        FedsegError: it does not.
    """
    there = out.absolute()
    has = sum(file.stat().st_size for file in there.rglob("*") if file.is_file())
    while not there.exists():
        there = there.parent
    wanted, free = sum(written_bytes(federation)) - has, shutil.disk_usage(there).free
    if free < wanted:
        raise FedsegError(
            f"disk: {wanted / 1e9:.1f} GB will be written below {out}, but {free / 1e9:.1f} GB are "
            "free; make room, or choose another --out"
        )


@cache
def weight_bytes(model: Model) -> int:
    """Size of a model's weights."""
    network = outline_model(model.plain)
    return sum(tensor.nbytes for tensor in network.state_dict().values())
