"""How good the targets are that clients make, however they are fused, measured before any student.

Scored as labels of a labelled set that nobody trains on, at the targets' resolution. The oracle
picks, pixel by pixel, a client that is right.

    python benchmarks/target_quality.py RUN --dataset camvid --root ROOT --split val
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from command import start
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from fedseg import config
from fedseg.classes import CITYSCAPES
from fedseg.config import Client, Source
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.evaluation.evaluate import classify, membership_of
from fedseg.evaluation.inference import infer, resize, view_size
from fedseg.evaluation.metrics import confusion_matrix, iou
from fedseg.method.fusion.mean import RAREST
from fedseg.method.teachers import TARGET_STRIDE
from fedseg.models import checkpoints
from fedseg.resize import resize_label
from fedseg.run.clients import good_clients
from fedseg.run.folder import find_run

STRENGTHS = (0.0, 0.3, 0.5, 0.7)
"""Of class balance; a column each."""
SITE_IMAGES = 100
"""Images of each client's own data on which the others' models are scored."""


def main(
    run: Path,
    dataset: Annotated[str, typer.Option()],
    root: Annotated[Path | None, typer.Option()] = None,
    split: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Print mIoU in % of each way to fuse, by strength of class balance; then IoU by class."""
    folder = find_run(run)
    federation = config.load(folder.config)
    clients = good_clients(folder, federation)
    data = open_dataset(Source(dataset=dataset, root=root, split=split))
    members = {name: Member(path, data) for name, path in clients.items()}
    probabilities = [member.probabilities for member in members.values()]
    knows = torch.stack([member.knows for member in members.values()])
    score = scorer(data, probabilities[0].shape)

    def row(name: str, target: Tensor) -> np.ndarray:
        """Print a row; returns the IoU by class without balance."""
        ious = [score(balanced(target, s)) for s in STRENGTHS]
        cells = "".join(f"{100 * np.nanmean(values):8.1f}" for values in ious)
        Console().print(f"{name:<34}{cells}")
        return ious[STRENGTHS.index(0.0)]

    Console().print(f"{'class balance':<34}" + "".join(f"{s:8.1f}" for s in STRENGTHS))
    by_class = {name: row(name, c) for name, c in zip(members, probabilities, strict=True)}
    fuse = partial(fused, probabilities, knows)
    row("mean", torch.stack(probabilities).mean(dim=0))
    mean = fuse([torch.ones(())] * len(probabilities))
    by_class["mean"] = row("class-aware mean", mean)
    usual = federation.server.distillation.class_balance
    by_class[f"mean, balance {usual}"] = score(balanced(mean, usual))
    row("by confidence", fuse([c.amax(dim=1, keepdim=True) for c in probabilities]))
    entropies = [-(c * c.clamp(min=1e-9).log()).sum(dim=1, keepdim=True) for c in probabilities]
    row("by entropy", fuse([(-e).exp() for e in entropies]))
    row("by agreement with the others", fuse(agreement(probabilities)))
    for name, spread in (("pixel", (1,)), ("image", (1, 2, 3))):
        weights = [(-m.distance.mean(dim=spread, keepdim=True)).exp() for m in members.values()]
        row(f"by closeness of BatchNorm, {name}", fuse(weights))
    sites = cross_site(federation.clients, clients)
    row("cross-site, by mIoU", fuse([torch.tensor(iou(c)).nanmean().float() for c in sites]))
    reliable = [torch.tensor(np.nan_to_num(iou(c)) + 0.01).float() for c in sites]
    row("cross-site, by class IoU", fuse([r[:, None, None] for r in reliable]))
    by_class["oracle"] = row("oracle", oracle(data, probabilities, mean))
    for number, name in enumerate(LabelMap(data.card).names):
        cells = ", ".join(f"{who} {100 * values[number]:.0f}" for who, values in by_class.items())
        Console().print(f"{name}: {cells}")


class Member:
    """A client's probabilities on the set, and how far its features are from those it learnt on."""

    def __init__(self, folder: Path, data: Dataset) -> None:
        network, info = checkpoints.load(folder)
        self.knows = torch.zeros(len(CITYSCAPES))
        self.knows[list(info.coverage)] = 1
        distances: list[Tensor] = []

        def measure(layer: torch.nn.BatchNorm2d, given: tuple[Tensor]) -> None:
            """Mean squared deviation of a layer's input from its running statistics."""
            mean, var = layer.running_mean[:, None, None], layer.running_var[:, None, None]
            distances.append(((given[0] - mean) ** 2 / (var + layer.eps)).mean(dim=1, keepdim=True))

        for layer in network.encoder.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.register_forward_pre_hook(measure)
        probabilities, far = [], []
        for index in range(len(data)):
            distances.clear()
            [(_, image, logits)] = infer(network, info, data.image, [index])
            rows, columns = view_size(image.shape[0], image.shape[1], info)
            size = (rows // TARGET_STRIDE, columns // TARGET_STRIDE)
            logits = resize(logits, size).masked_fill(self.knows[:, None, None] == 0, -torch.inf)
            probabilities.append(logits.softmax(dim=0))
            far.append(torch.stack([F.interpolate(d.log(), size)[0, 0] for d in distances]).mean(0))
        self.probabilities = torch.stack(probabilities)
        self.distance = torch.stack(far)[:, None]


def fused(probabilities: list[Tensor], knows: Tensor, weights: list[Tensor]) -> Tensor:
    """Class-aware weighted mean, [N, 19, h, w]."""
    masks = knows[:, :, None, None]
    total = sum(c * m * w for c, m, w in zip(probabilities, masks, weights, strict=True))
    count = sum(m * w for m, w in zip(masks, weights, strict=True))
    total = total / count.clamp(min=1e-6)
    return total / total.sum(dim=1, keepdim=True).clamp(min=1e-6)


def balanced(target: Tensor, strength: float) -> Tensor:
    """Divided by the prior of the mean to that power, without the bound on one client."""
    prior = target.mean(dim=(0, 2, 3)).clamp(min=RAREST)[:, None, None]
    target = target / prior**strength
    return target / target.sum(dim=1, keepdim=True)


def agreement(probabilities: list[Tensor]) -> list[Tensor]:
    """How far each client agrees with the mean of the others, pixel by pixel."""
    total = sum(probabilities)
    others = [(total - chance) / (len(probabilities) - 1) for chance in probabilities]
    return [(c * o).sum(dim=1, keepdim=True) for c, o in zip(probabilities, others, strict=True)]


def labels_of(data: Dataset, shape: torch.Size) -> np.ndarray:
    """The set's labels at the resolution of targets [N, C, h, w], uint8 [N, h, w]."""
    table = LabelMap(data.card).scored_ids()
    *_, rows, columns = shape
    return np.stack([resize_label(table[data.label(i)], (rows, columns)) for i in range(len(data))])


def scorer(data: Dataset, shape: torch.Size) -> Callable[[Tensor], np.ndarray]:
    """A function from targets [N, 19, h, w] to their IoU by scored class, 0..1 or NaN."""
    labels = labels_of(data, shape)
    membership = membership_of(LabelMap(data.card))
    classes = len(LabelMap(data.card).names)

    def score(target: Tensor) -> np.ndarray:
        confusion = np.zeros((classes, classes), np.int64)
        for chance, label in zip(target, labels, strict=True):
            guess = classify(chance.clamp(min=1e-12).log(), membership).numpy()
            confusion += confusion_matrix(label, guess, classes)
        return iou(confusion)

    return score


def oracle(data: Dataset, probabilities: list[Tensor], otherwise: Tensor) -> Tensor:
    """The prediction of a client that is right, wherever one is."""
    labels = torch.from_numpy(labels_of(data, probabilities[0].shape)).long()
    membership = membership_of(LabelMap(data.card))
    out = otherwise.clone()
    for chance in probabilities:
        guess = torch.stack([classify(c.clamp(min=1e-12).log(), membership) for c in chance])
        out = torch.where((guess == labels)[:, None], chance, out)
    return out


def cross_site(clients: list[Client], folders: dict[str, Path]) -> list[np.ndarray]:
    """Each model's confusion on the data of all clients but its own."""
    confusions = []
    for name, folder in folders.items():
        network, info = checkpoints.load(folder)
        total = np.zeros((len(CITYSCAPES), len(CITYSCAPES)), np.int64)
        for client in clients:
            if client.name != name:
                data = open_dataset(client)
                table = LabelMap(data.card).train_ids()
                chosen = range(0, len(data), max(len(data) // SITE_IMAGES, 1))
                for index, image, logits in infer(network, info, data.image, chosen):
                    guess = classify(resize(logits, image.shape[:2])).numpy()
                    total += confusion_matrix(table[data.label(index)], guess, len(CITYSCAPES))
        confusions.append(total)
    return confusions


if __name__ == "__main__":
    start(main)
