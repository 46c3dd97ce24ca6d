"""Which way to combine the clients beats the best of them distilled alone: a table from one GPU.

Every model of the study is small, so that one step leaves a large GPU idle. Here images, labels and
targets lie on the GPU, augmentation runs there, a step is one CUDA graph, and several trainings run
side by side. The study needs no file but a pack (below 50 MB) and the encoder's weights:

    python benchmarks/gpu_study.py pack PACK --client suburb=ROOT --client dark=ROOT \
        --client cab=ROOT --camvid ROOT --idd-lite ROOT --scored valley=ROOT --made square=FOLDER
    python benchmarks/gpu_study.py run PACK --encoder-weights imagenet --out DIR --seconds 540 \
        --stage candidates --stage judged --stage made --scored camvid --scored valley
    python benchmarks/gpu_study.py table DIR

Stages: "longer" trains the centralized model three times as long; "candidates" combines the clients
in many ways; "judged" weights them by what a student says, averages over views and adapts their
running statistics; "made" adds images that the server makes.

`run` writes each row to DIR/rows.jsonl as it is made and stops in time. Without a GPU it works too,
slowly: with --iterations 2 it is a test.
"""

import heapq
import io
import json
import tarfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.classes import CITYSCAPES, IGNORE
from fedseg.config import Model
from fedseg.data.label_map import LabelMap
from fedseg.data.sampling import RareClassSampler
from fedseg.evaluation.metrics import iou
from fedseg.method.baselines import fedavg
from fedseg.models.build import best_device, build
from fedseg.resize import resize_image

CROP = (160, 224)
"""Height and width of a training view."""
SEEN = (192, 256)
"""Size at which whole images are shown to a model: fedseg's default for this crop."""
GRID = (48, 64)
"""Of the targets: a quarter of that."""
VIEW_GRID = (CROP[0] // 4, CROP[1] // 4)
"""Of the target of a view."""
BATCH = 8
LEARNING_RATE, WEIGHT_DECAY, WARMUP = 1e-3, 0.01, 0.1
SERVER_SIZE = (384, 288)
"""Width and height at which the server's images are packed."""
QUALITY = 80
"""Of the packed images (WebP)."""
BALANCE, TEMPERATURE = 0.7, 0.5
"""fedseg's defaults."""
RAREST = 1e-3
VIEWS = 7
"""Of an image, over which a client's probabilities are averaged."""
EMA = 0.99
"""Decay of the moving average that teaches in self-training."""

State = dict[str, Tensor]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


# The pack: images and labels of all sets in one tar file.


@app.command()
def pack(
    file: Path,
    client: Annotated[list[str], typer.Option(help="NAME=ROOT of labelled images.")],
    camvid: Annotated[Path, typer.Option(help="Train: the server's images; val: scored.")],
    idd_lite: Annotated[Path, typer.Option(help="Scored at the very end.")],
    scored: Annotated[list[str], typer.Option(help="NAME=ROOT of more labelled sets.")] = [],  # noqa: B006
    made: Annotated[
        list[str], typer.Option(help="NAME=FOLDER of images that a server makes.")
    ] = [],  # noqa: B006
) -> None:
    """Write the pack: clients at 320x240 or as they are, scored images as models see them."""
    from fedseg.config import Source
    from fedseg.data.dataset import Dataset, open_dataset

    def write(tar: tarfile.TarFile, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))

    def image(pixels: np.ndarray, size: tuple[int, int] | None) -> bytes:
        if size:
            pixels = resize_image(pixels, size[::-1])
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()

    def add(tar: tarfile.TarFile, name: str, data: Dataset, table: np.ndarray | None, size) -> None:
        for i in range(len(data)):
            write(tar, f"{name}/{i:05d}.webp", image(data.image(i), size))
            if table is not None:
                png = cv2.imencode(".png", table[data.label(i)], [cv2.IMWRITE_PNG_COMPRESSION, 9])
                write(tar, f"{name}/{i:05d}.png", png[1].tobytes())

    seen = SEEN[::-1]
    with tarfile.open(file, "w") as tar:
        for entry in client:
            name, _, root = entry.partition("=")
            data = open_dataset(Source(dataset="folder", root=Path(root)))
            add(tar, f"client-{name}", data, LabelMap(data.card).train_ids(), None)
        server = Source(dataset="camvid", root=camvid, split="train")
        add(tar, "server", open_dataset(server, labelled=False), None, SERVER_SIZE)
        for entry in made:
            name, _, root = entry.partition("=")
            for i, path in enumerate(sorted(Path(root).iterdir())):
                pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
                write(tar, f"made-{name}/{i:05d}.webp", image(pixels, SERVER_SIZE))
        sources = {
            "camvid": Source(dataset="camvid", root=camvid, split="val"),
            "idd-lite": Source(dataset="idd-lite", root=idd_lite, split="train"),
        }
        for entry in scored:
            name, _, root = entry.partition("=")
            sources[name] = Source(dataset="folder", root=Path(root))
        for name, source in sources.items():
            data = open_dataset(source)
            mapped = LabelMap(data.card)
            add(tar, f"scored-{name}", data, mapped.scored_ids(), seen)
            members = np.eye(len(CITYSCAPES)) if mapped.membership is None else mapped.membership
            write(tar, f"membership/{name}.json", json.dumps(members.tolist()).encode())
    typer.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


class Site(NamedTuple):
    """A client's data, on the GPU."""

    name: str
    first: int
    """Number of its first image among all clients' images."""
    count: int
    sampler: RareClassSampler
    known: Tensor
    """bool [19]: the classes it has labels of."""


class Scored(NamedTuple):
    """A labelled set, on the GPU."""

    images: Tensor
    """uint8 [N, 3, *SEEN]."""
    labels: list[Tensor]
    """Each uint8 [H, W], places in the set's classes."""
    membership: Tensor
    """float32 [C, 19]."""


@dataclass
class World:
    """Everything that models are trained and scored on."""

    device: torch.device
    sites: list[Site]
    images: Tensor
    """uint8 [N, 3, 240, 320], all clients'."""
    labels: Tensor
    """uint8 [N, 240, 320]."""
    server: Tensor
    """uint8 [N, 3, 288, 384]."""
    server_seen: Tensor
    """uint8 [N, 3, *SEEN]: the same as models see them whole."""
    parts: dict[str, np.ndarray]
    """Numbers of the server's images by where they come from; "own" are its photographs."""
    scored: dict[str, Scored]

    @property
    def known(self) -> Tensor:
        """bool [K, 19]."""
        return torch.stack([site.known for site in self.sites])


def load(file: Path, device: torch.device) -> World:
    """Decode a pack, onto the device."""
    with tarfile.open(file) as tar:
        raw = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    memberships = {
        Path(name).stem: torch.tensor(json.loads(raw.pop(name)), device=device)
        for name in [name for name in raw if name.startswith("membership/")]
    }

    def decode(name: str) -> np.ndarray:
        pixels = cv2.imdecode(np.frombuffer(raw[name], np.uint8), cv2.IMREAD_UNCHANGED)
        return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    with ThreadPoolExecutor() as pool:
        decoded = dict(zip(raw, pool.map(decode, raw), strict=True))
    folders: dict[str, list[str]] = {}
    for name in raw:
        folders.setdefault(name.partition("/")[0], []).append(name)

    def stack(folder: str, suffix: str) -> list[np.ndarray]:
        return [decoded[name] for name in folders[folder] if name.endswith(suffix)]

    def on_device(images: list[np.ndarray]) -> Tensor:
        array = torch.from_numpy(np.stack(images)).to(device)
        return array.permute(0, 3, 1, 2).contiguous() if array.ndim == 4 else array

    sites, images, labels = [], [], []
    for folder in [name for name in folders if name.startswith("client-")]:
        own = stack(folder, ".png")
        counts = np.stack([np.bincount(x.ravel(), minlength=256)[: len(CITYSCAPES)] for x in own])
        known = torch.from_numpy(counts.sum(axis=0) > 0).to(device)
        name = folder.removeprefix("client-")
        sites.append(Site(name, len(labels), len(own), RareClassSampler(counts, 0.05), known))
        images += stack(folder, ".webp")
        labels += own
    server = stack("server", ".webp")
    parts = {"own": np.arange(len(server))}
    for folder in [name for name in folders if name.startswith("made-")]:
        found = stack(folder, ".webp")
        parts[folder.removeprefix("made-")] = len(server) + np.arange(len(found))
        server += found
    seen = [resize_image(x, SEEN) for x in server]
    scored = {
        name: Scored(
            on_device(stack(f"scored-{name}", ".webp")),
            [torch.from_numpy(x).to(device) for x in stack(f"scored-{name}", ".png")],
            members,
        )
        for name, members in memberships.items()
    }
    return World(
        device,
        sites,
        on_device(images),
        on_device(labels),
        on_device(server),
        on_device(seen),
        parts,
        scored,
    )


# Views: parts of images, changed in light and colour, all on the GPU.


def crop_boxes(rng: np.random.Generator, shape: tuple[int, ...], source: float) -> np.ndarray:
    """Albumentations' RandomResizedCrop: float32 [*shape, 4], x, y, width, height in 0..1.

    Args:
        rng: random numbers.
        shape: how many.
        source: width of the images over their height.
    """
    tries = 10
    aspect = CROP[1] / CROP[0]
    area = rng.uniform(0.25, 1.0, (tries, *shape))
    ratio = np.exp(rng.uniform(np.log(0.8 * aspect), np.log(1.25 * aspect), (tries, *shape)))
    width, height = np.sqrt(area * ratio / source), np.sqrt(area / ratio * source)
    fits = (width <= 1) & (height <= 1)
    first = fits.argmax(axis=0)[None]
    width, height = (np.take_along_axis(side, first, axis=0)[0] for side in (width, height))
    # Where no try fits, the largest centred part of the crop's proportions.
    width = np.where(fits.any(axis=0), width, min(1, aspect / source))
    height = np.where(fits.any(axis=0), height, min(1, source / aspect))
    left, top = (rng.uniform(0, 1, shape) * (1 - side) for side in (width, height))
    return np.stack([left, top, width, height], axis=-1).astype(np.float32)


def window_boxes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The windows of `fedseg.method.student.random_view`, of whole cells of the targets."""
    area = rng.uniform(0.25, 1.0, shape)
    aspect = np.exp(rng.uniform(np.log(0.8), np.log(1.25), shape))
    rows = np.clip(np.round(GRID[0] * np.sqrt(area / aspect)), 1, GRID[0])
    columns = np.clip(np.round(GRID[1] * np.sqrt(area * aspect)), 1, GRID[1])
    top = np.floor(rng.uniform(0, 1, shape) * (GRID[0] - rows + 1))
    left = np.floor(rng.uniform(0, 1, shape) * (GRID[1] - columns + 1))
    parts = [left / GRID[1], top / GRID[0], columns / GRID[1], rows / GRID[0]]
    return np.stack(parts, axis=-1).astype(np.float32)


def photometry_table(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of `photometry`, in the ranges of fedseg.data.augment: float32 [*shape, 8]."""

    def sometimes(part: np.ndarray, low: float, high: float, otherwise: float) -> np.ndarray:
        return np.where(part, rng.uniform(low, high, shape), otherwise)

    jitter, gamma, grey, blur, noise = (rng.random(shape) < p for p in (0.9, 0.3, 0.05, 0.25, 0.25))
    columns = [
        sometimes(jitter, 0.6, 1.4, 1.0),
        sometimes(jitter, 0.6, 1.4, 1.0),
        sometimes(jitter, 0.4, 1.6, 1.0),
        sometimes(jitter, -0.05, 0.05, 0.0),
        sometimes(gamma, 0.6, 1.6, 1.0),
        grey.astype(float),
        sometimes(blur, 0.3, 1.2, 0.05),
        sometimes(noise, 0.01, 0.06, 0.0),
    ]
    return np.stack(columns, axis=-1).astype(np.float32)


def sample(source: Tensor, box: Tensor, flip: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Cut boxes out of images and resize them, as OpenCV does: [N, C, H, W] to [N, C, *size].

    Args:
        source: float32 [N, C, H, W].
        box: float32 [N, 4], x, y, width and height in 0..1.
        flip: float32 [N], -1 mirrors, 1 does not.
        size: height and width of the result.
        mode: "bilinear" or "nearest".
    """
    x, y, width, height = box.unbind(dim=1)
    zero = torch.zeros_like(x)
    theta = torch.stack(
        [
            torch.stack([width * flip, zero, 2 * x + width - 1], dim=1),
            torch.stack([zero, height, 2 * y + height - 1], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(source), 1, *size], align_corners=False)
    return F.grid_sample(source, grid, mode, padding_mode="border", align_corners=False)


def photometry(x: Tensor, table: Tensor, taps: int = 7) -> Tensor:
    """Change light, colour and camera: float32 [N, 3, H, W] in 0..1; `table` float32 [N, 8]."""
    bright, contrast, saturation, hue, gamma, grey, sigma, noise = (
        column[:, None, None, None] for column in table.unbind(dim=1)
    )
    weights = _luma(x.device)

    def grey_of(image: Tensor) -> Tensor:
        return (image * weights).sum(dim=1, keepdim=True)

    x = (x * bright).clamp(0, 1)
    middle = grey_of(x).mean(dim=(2, 3), keepdim=True)
    x = (x * contrast + middle * (1 - contrast)).clamp(0, 1)
    x = (x * saturation + grey_of(x) * (1 - saturation)).clamp(0, 1)
    x = _turn_hue(x, hue).clamp(0, 1)
    x = x.clamp(min=1e-4) ** gamma
    x = grey * grey_of(x) + (1 - grey) * x
    place = torch.arange(taps, device=x.device, dtype=x.dtype) - taps // 2
    kernel = (-(place**2) / (2 * sigma.flatten()[:, None] ** 2)).exp()
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = F.pad(x, [taps // 2] * 4, mode="reflect").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=len(kernel))
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=len(kernel))
    return (flat.view_as(x) + noise * torch.randn_like(x)).clamp(0, 1)


_CONSTANTS: dict[torch.device, Tensor] = {}


def _luma(device: torch.device) -> Tensor:
    """How bright R, G and B are. Made once: a graph must not copy from the host."""
    if device not in _CONSTANTS:
        luma = torch.tensor([0.299, 0.587, 0.114], device=device)
        _CONSTANTS[device] = luma[None, :, None, None]
    return _CONSTANTS[device]


def _turn_hue(x: Tensor, hue: Tensor) -> Tensor:
    """Rotate colours by `hue` of a full turn, in YIQ."""
    red, green, blue = x.unbind(dim=1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    i = 0.596 * red - 0.274 * green - 0.322 * blue
    q = 0.211 * red - 0.523 * green + 0.312 * blue
    angle = (2 * torch.pi * hue).squeeze(1)
    cos, sin = angle.cos(), angle.sin()
    i, q = cos * i - sin * q, sin * i + cos * q
    turned = [y + 0.956 * i + 0.621 * q, y - 0.272 * i - 0.647 * q, y - 1.106 * i + 1.703 * q]
    return torch.stack(turned, dim=1)


def normalise(x: Tensor) -> Tensor:
    """0..1 to what EfficientNet-Lite expects, -1..1, in channels-last memory."""
    return (x * 2 - 1).contiguous(memory_format=torch.channels_last)


# Trainings, several at a time.


@dataclass(frozen=True)
class Kind:
    """What a captured step depends on; trainings of one kind share the captured graphs."""

    supervised: bool = False
    heads: int = 1
    """Of a student with one head for each client."""
    teacher: bool = False
    """Whether the student's moving average corrects the targets."""
    mixes: bool = False
    """Whether classes of another image are pasted over the view (ClassMix)."""
    iterations: int = 1000


@dataclass
class Job:
    """One training."""

    kind: Kind
    start: State
    seed: int
    sites: tuple[int, ...] = ()
    """Supervised: which clients' data."""
    targets: Tensor | None = None
    """Otherwise: float16 [N, heads * 19, *GRID], the server's images' soft targets."""
    images: np.ndarray | None = None
    """Which of the server's images are seen; default: all."""
    own_share: float = 0.0
    """With a teacher: how much of the targets is its, at the end of a ramp over half the steps."""


class Slot:
    """A training's place on the GPU: its graph is captured once and replayed for many jobs."""

    def __init__(self, world: World, kind: Kind, template: nn.Module) -> None:
        self.world, self.kind, device = world, kind, world.device
        self.network = with_heads(template, kind.heads).to(device).train()
        self.teacher = deepcopy(self.network).eval() if kind.teacher else None
        self.on_gpu = device.type == "cuda"
        steps, shape = kind.iterations, (kind.iterations, BATCH)
        self.rate = torch.zeros((), device=device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            self.rate,
            weight_decay=WEIGHT_DECAY,
            fused=True,
            capturable=self.on_gpu,
        )
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self.rates = torch.tensor([_rate(i, steps) for i in range(steps)], device=device)
        self.share = torch.zeros(steps, device=device)
        self.index = torch.zeros(shape, dtype=torch.int64, device=device)
        self.box = torch.rand(*shape, 4, device=device) * 0.5
        self.flip = torch.ones(shape, device=device)
        self.light = torch.from_numpy(photometry_table(np.random.default_rng(0), shape)).to(device)
        self.pasted = torch.zeros(*shape, len(CITYSCAPES), device=device)
        self.targets = None
        if not kind.supervised:
            channels = kind.heads * len(CITYSCAPES)
            size = (len(world.server), channels, *GRID)
            self.targets = torch.full(size, 1 / len(CITYSCAPES), dtype=torch.float16, device=device)
        self.loss = torch.zeros((), device=device)
        self.graph = None
        if self.on_gpu:
            self._capture()

    def _capture(self) -> None:
        self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(3):
                self._train()
        torch.cuda.synchronize()
        self.step.zero_()
        self.graph = torch.cuda.CUDAGraph()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph, stream=self.stream):
            self._train()

    @torch.no_grad()
    def load(self, job: Job) -> None:
        """Begin a job."""
        rng = np.random.default_rng([job.seed, 17])
        shape = (self.kind.iterations, BATCH)
        if self.kind.supervised:
            sites = [self.world.sites[k] for k in job.sites]
            drawn = [sites[rng.integers(len(sites))] for _ in range(shape[0] * BATCH)]
            index = np.array([site.first + site.sampler.draw(rng) for site in drawn])
            boxes = crop_boxes(rng, shape, self.world.images.shape[3] / self.world.images.shape[2])
        else:
            shown = np.arange(len(self.world.server)) if job.images is None else job.images
            index = shown[rng.integers(len(shown), size=shape)]
            boxes = window_boxes(rng, shape)
            self.targets.copy_(job.targets)
        self.index.copy_(torch.from_numpy(index.reshape(shape)))
        self.box.copy_(torch.from_numpy(boxes))
        self.flip.copy_(torch.from_numpy(np.where(rng.random(shape) < 0.5, -1, 1)))
        self.light.copy_(torch.from_numpy(photometry_table(rng, shape)))
        self.pasted.copy_(torch.from_numpy(rng.random(self.pasted.shape) < 0.5))
        ramp = np.minimum(np.arange(shape[0]) / max(shape[0] / 2, 1), 1) * job.own_share
        self.share.copy_(torch.from_numpy(ramp))
        self.step.zero_()
        self.network.load_state_dict(job.start)
        if self.teacher is not None:
            self.teacher.load_state_dict(job.start)
        for slots in self.optimiser.state.values():
            for value in slots.values():
                value.zero_()
        if self.on_gpu:
            self.stream.wait_stream(torch.cuda.current_stream())

    def advance(self) -> None:
        """One step."""
        if self.graph is None:
            self._train()
        else:
            with torch.cuda.stream(self.stream):
                self.graph.replay()

    @torch.no_grad()
    def result(self) -> State:
        """The weights after the last step: the moving average's, where there is one."""
        trained = self.network if self.teacher is None else self.teacher
        if not torch.isfinite(self.loss):
            raise FloatingPointError("a loss is not finite")
        return {name: value.clone() for name, value in trained.state_dict().items()}

    def _train(self) -> None:
        now = self.step
        self.rate.copy_(self.rates.index_select(0, now)[0])
        index, box, flip, light = (
            table.index_select(0, now)[0] for table in (self.index, self.box, self.flip, self.light)
        )
        source = self.world.images if self.kind.supervised else self.world.server
        view = sample(source[index].float() / 255, box, flip, CROP, "bilinear")
        if self.kind.supervised:
            labels = self.world.labels[index].float()[:, None]
            target = sample(labels, box, flip, CROP, "nearest")[:, 0].long()
        else:
            target = sample(self.targets[index].float(), box, flip, VIEW_GRID, "bilinear")
            if self.teacher is not None:
                target = self._corrected(target, view, now)
            if self.kind.mixes:
                view, target = self._mixed(view, target, self.pasted.index_select(0, now)[0])
        with autocast(self.world.device):
            logits = self.network(normalise(photometry(view, light)))
        if self.kind.supervised:
            loss = cross_entropy(logits.float(), target)
        else:
            loss = soft_cross_entropy(logits.float(), target, self.kind.heads)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.loss.copy_(loss.detach())
        self.step.add_(1)
        if self.teacher is not None:
            self._follow()

    @torch.no_grad()
    def _corrected(self, target: Tensor, view: Tensor, now: Tensor) -> Tensor:
        """Targets, corrected by the moving average where it is sure."""
        with autocast(self.world.device):
            logits = self.teacher(normalise(view))
        own = F.avg_pool2d(logits.float().softmax(dim=1), 4)
        sure = own.amax(dim=1, keepdim=True)
        share = self.share.index_select(0, now) * sure
        sharp = own**2 / (own**2).sum(dim=1, keepdim=True)
        return (1 - share) * target + share * sharp

    @torch.no_grad()
    def _mixed(self, view: Tensor, target: Tensor, pasted: Tensor) -> tuple[Tensor, Tensor]:
        """ClassMix (Olsson et al., arXiv 2007.07936): half of the next image's classes pasted."""
        other, wanted = view.roll(1, dims=0), target.roll(1, dims=0)
        found = wanted.argmax(dim=1)
        mask = pasted.gather(1, found.flatten(1)).view_as(found)[:, None]
        wide = F.interpolate(mask, CROP, mode="nearest")
        return wide * other + (1 - wide) * view, mask * wanted + (1 - mask) * target

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the student."""
        ours = [x for x in self.teacher.state_dict().values() if x.is_floating_point()]
        theirs = [x for x in self.network.state_dict().values() if x.is_floating_point()]
        torch._foreach_lerp_(ours, theirs, 1 - EMA)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU; without a cache, which a graph can't have."""
    return torch.autocast(device.type, torch.bfloat16, device.type == "cuda", cache_enabled=False)


def _rate(step: int, steps: int) -> float:
    """`fedseg.training.loop.learning_rate`."""
    warmup = int(np.ceil(WARMUP * steps))
    if step < warmup:
        return LEARNING_RATE * (step + 1) / (warmup + 1)
    part = (step - warmup) / max(steps - warmup, 1)
    return LEARNING_RATE * 0.5 * (1 + float(np.cos(np.pi * part)))


def with_heads(template: nn.Module, heads: int) -> nn.Module:
    """A copy of a model, with K heads on one trunk."""
    network = deepcopy(template)
    if heads > 1:
        old = network.segmentation_head[0]
        network.segmentation_head[0] = nn.Conv2d(
            old.in_channels, heads * old.out_channels, old.kernel_size, padding=old.padding
        )
    return network.to(memory_format=torch.channels_last)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """`fedseg.training.supervised.cross_entropy`."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def soft_cross_entropy(logits: Tensor, target: Tensor, heads: int) -> Tensor:
    """`fedseg.method.student.soft_cross_entropy`, the mean over heads."""
    logits = logits.unflatten(1, (heads, len(CITYSCAPES))).flatten(0, 1)
    target = target.unflatten(1, (heads, len(CITYSCAPES))).flatten(0, 1)
    target = target / target.sum(dim=1, keepdim=True).clamp(min=1e-6)
    target = F.interpolate(target, logits.shape[-2:], mode="bilinear", align_corners=False)
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()


Recipe = Generator[list[Job], list[State], None]
"""Yields trainings that can run side by side; is sent their weights."""


class Trainer:
    """Runs recipes, with a number of trainings at a time."""

    CHUNK = 25
    """Steps between two looks at the clock."""

    def __init__(self, world: World, template: nn.Module, places: int, deadline: float) -> None:
        self.world, self.template, self.places, self.deadline = world, template, places, deadline
        self.free: dict[Kind, list[Slot]] = {}
        self.slots = 0

    def run(self, recipes: list[Recipe]) -> bool:
        """Run all recipes, earlier ones first. Returns whether there was time for all of them."""
        queue: list[tuple[int, int, Job]] = []  # (recipe, place among its jobs, job)
        results: dict[int, dict[int, State]] = {}
        awaited: dict[int, int] = {}
        active: list[tuple[int, int, Slot, int]] = []

        def proceed(number: int, sent: list[State] | None) -> None:
            try:
                jobs = recipes[number].send(sent)
            except StopIteration:
                return
            results[number], awaited[number] = {}, len(jobs)
            for place, job in enumerate(jobs):
                heapq.heappush(queue, (number, place, _Unordered(job)))

        for number in range(len(recipes)):
            proceed(number, None)
        while queue or active:
            while queue and len(active) < self.places:
                number, place, job = heapq.heappop(queue)
                slot = self._slot(job.it.kind)
                slot.load(job.it)
                active.append((number, place, slot, 0))
            for _ in range(self.CHUNK):
                for i, (number, place, slot, done) in enumerate(active):
                    if done < slot.kind.iterations:
                        slot.advance()
                        active[i] = (number, place, slot, done + 1)
            if self.world.device.type == "cuda":
                torch.cuda.synchronize()
            if time.monotonic() > self.deadline:
                return False
            over = [entry for entry in active if entry[3] >= entry[2].kind.iterations]
            active = [entry for entry in active if entry[3] < entry[2].kind.iterations]
            for number, place, slot, _ in over:
                results[number][place] = slot.result()
                self.free.setdefault(slot.kind, []).append(slot)
            for number in sorted({entry[0] for entry in over}):
                if len(results[number]) == awaited[number]:
                    proceed(number, [results[number][p] for p in range(awaited[number])])
        return True

    def _slot(self, kind: Kind) -> Slot:
        if self.free.get(kind):
            return self.free[kind].pop()
        self.slots += 1
        return Slot(self.world, kind, self.template)


class _Unordered(NamedTuple):
    """A job in a heap: never compared."""

    it: Job

    def __lt__(self, other: object) -> bool:
        return False


# Predictions, scores and fusion.


class Judge:
    """Has models predict and scores them."""

    def __init__(self, world: World, template: nn.Module) -> None:
        self.world = world
        self.template = template

    @torch.inference_mode()
    def logits(self, state: State, images: Tensor, heads: int = 1) -> Iterator[Tensor]:
        """float32 [n, heads * 19, *SEEN], batch by batch."""
        network = with_heads(self.template, heads).to(self.world.device).eval()
        network.load_state_dict(state)
        for batch in images.split(64):
            with autocast(self.world.device):
                logits = network(normalise(batch.float() / 255))
            yield logits.float()

    @torch.no_grad()
    def normalised_to(self, state: State, images: Tensor, share: float) -> State:
        """AdaBN (Li et al., arXiv 1603.04779): running statistics of other images, by `share`."""
        network = with_heads(self.template, 1).to(self.world.device)
        network.load_state_dict(state)
        layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
        network.train()
        for batch in images.split(64):
            with autocast(self.world.device):
                network(normalise(batch.float() / 255))
        found = network.state_dict()
        return {
            name: value.lerp(found[name], share) if "running_" in name else value
            for name, value in state.items()
        }

    def averaged_over_views(self, state: State, images: Tensor, known: Tensor) -> Tensor:
        """Mean probabilities over changes of light and mirroring, float32 [N, 19, *GRID]."""
        rng = np.random.default_rng(5)
        total = self.probabilities(state, images, known)[0]
        for number in range(VIEWS):
            changed = []
            for batch in images.split(64):
                table = torch.from_numpy(photometry_table(rng, (len(batch),))).to(batch.device)
                view = (photometry(batch.float() / 255, table) * 255).to(torch.uint8)
                changed.append(view.flip(3) if number % 2 else view)
            view = self.probabilities(state, torch.cat(changed), known)[0]
            total += view.flip(3) if number % 2 else view
        return total / (VIEWS + 1)

    def probabilities(
        self, state: State, images: Tensor, known: Tensor | None = None, heads: int = 1
    ) -> list[Tensor]:
        """Of each head, float32 [N, 19, *GRID]; a class that is not known gets none."""
        parts = []
        for logits in self.logits(state, images, heads):
            small = F.interpolate(logits, GRID, mode="bilinear", align_corners=False)
            small = small.unflatten(1, (heads, len(CITYSCAPES)))
            if known is not None:
                small = small.masked_fill(~known[:, None, None], -torch.inf)
            parts.append(small.softmax(dim=2))
        return list(torch.cat(parts).clone().unbind(dim=1))

    def confusion(self, state: State | list[State], name: str) -> np.ndarray:
        """int64 [C, C] on a scored set; of several models, their class-aware mean's."""
        scored = self.world.scored[name]
        if isinstance(state, dict):
            outputs = (x.softmax(dim=1) for x in self.logits(state, scored.images))
        else:
            outputs = self._ensemble(state, scored.images)
        classes = len(scored.membership)
        total = torch.zeros(classes**2, dtype=torch.int64, device=self.world.device)
        labels = iter(scored.labels)
        for batch in outputs:
            for probabilities in batch:
                label = next(labels)
                large = F.interpolate(
                    probabilities[None].clamp(min=1e-9).log(),
                    label.shape,
                    mode="bilinear",
                    align_corners=False,
                )[0].softmax(dim=0)
                found = torch.einsum("cp,phw->chw", scored.membership, large).argmax(dim=0)
                counted = label != IGNORE
                pairs = label[counted].long() * classes + found[counted]
                total += torch.bincount(pairs, minlength=classes**2)
        return total.view(classes, classes).cpu().numpy()

    def _ensemble(self, states: list[State], images: Tensor) -> Iterator[Tensor]:
        streams = [self.logits(state, images) for state in states]
        known = self.world.known.float()
        for outputs in zip(*streams, strict=True):
            total = sum(
                x.masked_fill(k[:, None, None] == 0, -torch.inf).softmax(dim=1)
                for x, k in zip(outputs, known, strict=True)
            )
            yield total / known.sum(dim=0).clamp(min=1)[:, None, None]


def balanced(
    target: Tensor, strength: float, temperature: float, counted: int | None = None
) -> Tensor:
    """`fedseg.method.fusion.mean.balance`, of all images at once: [N, 19, h, w].

    The priors are those of the first `counted` images.
    """
    prior = target[:counted].mean(dim=(0, 2, 3), keepdim=True).clamp(min=RAREST)
    return _normal((target / prior**strength) ** (1 / temperature))


def mean_of(probabilities: list[Tensor], weights: Tensor) -> Tensor:
    """Weighted mean: weights [K, 19] or [K, N, 1 or 19, h, w], 0 where a class is unknown."""
    weights = _spread(weights)
    total = sum(p * w for p, w in zip(probabilities, weights, strict=True))
    return _normal(total / sum(weights).clamp(min=1e-6))


def geometric_mean_of(probabilities: list[Tensor], weights: Tensor) -> Tensor:
    """The same of logarithms."""
    weights = _spread(weights)
    total = sum(p.clamp(min=1e-4).log() * w for p, w in zip(probabilities, weights, strict=True))
    return (total / sum(weights).clamp(min=1e-6)).softmax(dim=1)


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """IoU of each class between two predictions [N, 19, h, w]: float32 [19], 0 where neither."""
    pairs = first.argmax(dim=1).flatten() * len(CITYSCAPES) + second.argmax(dim=1).flatten()
    matrix = torch.bincount(pairs, minlength=len(CITYSCAPES) ** 2).view(len(CITYSCAPES), -1).float()
    hit = matrix.diag()
    return hit / (matrix.sum(dim=0) + matrix.sum(dim=1) - hit).clamp(min=1)


def _spread(weights: Tensor) -> Tensor:
    return weights.float()[:, None, :, None, None] if weights.ndim == 2 else weights.float()


def _normal(target: Tensor) -> Tensor:
    return target / target.sum(dim=1, keepdim=True).clamp(min=1e-6)


# The study.


class Study:
    """Models by name and seed, and the rows made of them."""

    def __init__(self, world: World, weights: str, out: Path, seeds: list[int], **options) -> None:
        self.world, self.out, self.seeds = world, out, seeds
        self.iterations: int = options["iterations"]
        self.sets: list[str] = options["sets"]
        self.model = Model(encoder_weights=weights)
        template = build(self.model)
        self.judge = Judge(world, template)
        self.trainer = Trainer(world, template, options["places"], options["deadline"])
        self.states: dict[tuple[str, int], State] = {}
        self.seen: dict[tuple[str, int], Tensor] = {}
        self.began = time.monotonic()

    @property
    def names(self) -> list[str]:
        """The clients'."""
        return [site.name for site in self.world.sites]

    @property
    def supervised(self) -> Kind:
        return Kind(supervised=True, iterations=self.iterations)

    @property
    def distilled(self) -> Kind:
        return Kind(iterations=self.iterations)

    def first_weights(self, seed: int) -> State:
        """What the server sends to all clients of a seed."""
        torch.manual_seed(seed)
        state = build(self.model).state_dict()
        return {name: value.to(self.world.device) for name, value in state.items()}

    def keep(self, name: str, seed: int, state: State | list[State], **facts: object) -> None:
        """Score a model, write its row and keep it; of several models, their ensemble's row."""
        if isinstance(state, dict):
            self.states[name, seed] = state
        for data in self.sets:
            by_class = iou(self.judge.confusion(state, data))
            row = {
                "model": name,
                "seed": seed,
                "set": data,
                "miou": round(100 * float(np.nanmean(by_class)), 2),
                "iou": [None if np.isnan(x) else round(100 * float(x), 1) for x in by_class],
                "seconds": round(time.monotonic() - self.began, 1),
                **facts,
            }
            with (self.out / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")

    def labels(self, name: str, seed: int, known: Tensor | None = None) -> Tensor:
        """A kept model's probabilities of the server's images, float32 [N, 19, *GRID]."""
        if (name, seed) not in self.seen:
            state = self.states[name, seed]
            images = self.world.server_seen
            self.seen[name, seed] = self.judge.probabilities(state, images, known)[0]
        return self.seen[name, seed]

    def clients(self, seed: int) -> list[Tensor]:
        """Each client's, the same way."""
        return [self.labels(site.name, seed, site.known) for site in self.world.sites]

    def alone(self, seed: int) -> list[Tensor]:
        """The same, of each client distilled alone."""
        return [self.labels(f"{name} alone", seed) for name in self.names]

    def most_agreeing(self, probabilities: list[Tensor]) -> int:
        """The client that agrees most with the others: fedseg's starting point."""
        known = self.world.known
        scores = []
        for k, own in enumerate(probabilities):
            others = [j for j in range(len(probabilities)) if j != k]
            both = [agreement(own, probabilities[j])[known[k] & known[j]].mean() for j in others]
            scores.append(float(torch.stack(both).median()))
        return int(np.argmax(scores))

    def today(self, probabilities: list[Tensor]) -> Tensor:
        """Targets by fedseg's rule."""
        return self.sharp(mean_of(probabilities, self.world.known))

    def sharp(self, target: Tensor) -> Tensor:
        """Balanced and sharpened as fedseg does it, by the priors of the server's own images."""
        return balanced(target, BALANCE, TEMPERATURE, len(self.world.parts["own"]))

    def job(self, seed: int, start: State, targets: Tensor, **options) -> Job:
        """A distillation; without `images`, on the server's own."""
        options.setdefault("images", self.world.parts["own"])
        kind = replace(self.distilled, **{k: v for k, v in options.items() if k in KIND_FIELDS})
        rest = {k: v for k, v in options.items() if k not in KIND_FIELDS}
        return Job(kind, start, seed, targets=targets.half(), **rest)

    def train_clients(self, seed: int) -> Recipe:
        """Every client, and one model on all their data."""
        start, everyone = self.first_weights(seed), range(len(self.world.sites))
        kind = self.supervised
        jobs = [Job(kind, start, 100 * seed + k, sites=(k,)) for k in everyone]
        jobs.append(Job(kind, start, 100 * seed + 50, sites=tuple(everyone)))
        *clients, together = yield jobs
        for name, state in zip(self.names, clients, strict=True):
            self.keep(name, seed, state)
        self.keep("centralized", seed, together)
        self.keep("ensemble", seed, clients)
        counts = [site.count for site in self.world.sites]
        self.keep("FedAvg", seed, fedavg.average(clients, counts))

    def train_longer(self, seed: int) -> Recipe:
        """One model on all clients' data, three times as long."""
        kind = replace(self.supervised, iterations=3 * self.iterations)
        sites = tuple(range(len(self.world.sites)))
        (state,) = yield [Job(kind, self.first_weights(seed), 100 * seed + 51, sites=sites)]
        self.keep("centralized, 3x", seed, state)

    def distill_one(self, seed: int, name: str, known: Tensor | None) -> Recipe:
        """A model, distilled alone: adapted to the server's images by its own labels."""
        targets = self.sharp(self.labels(name, seed, known))
        (state,) = yield [self.job(seed, self.states[name, seed], targets)]
        self.keep(f"{name} alone", seed, state)

    def distill(self, seed: int, name: str, targets: Callable[[], Tensor], **options) -> Recipe:
        """A student of the clients, from the client that agrees most with the others."""
        probabilities = self.clients(seed)
        pick = self.names[self.most_agreeing(probabilities)]
        (state,) = yield [self.job(seed, self.states[pick, seed], targets(), **options)]
        self.keep(name, seed, state, start=pick)

    def references(self, seed: int) -> list[Recipe]:
        """Rows that every federation is compared with, and today's global model."""
        known = {site.name: site.known for site in self.world.sites}
        names = [n for n in (*self.names, *CENTRALIZED) if (n, seed) in self.states]
        rows = [self.distill_one(seed, name, known.get(name)) for name in names]
        clients = self.clients(seed)
        plain = torch.ones_like(self.world.known)
        rows.append(self.distill(seed, "global, today", lambda: self.today(clients)))
        rows.append(self.distill(seed, "FedDF", lambda: mean_of(clients, plain)))
        return rows

    def candidates(self, seed: int) -> list[Recipe]:
        """Ways to combine the clients, and what as much training of one alone gives."""
        clients, adapted = self.clients(seed), self.alone(seed)
        known = self.world.known
        pick = self.names[self.most_agreeing(clients)]

        def from_state(name: str, start: str, targets: Tensor) -> Recipe:
            (state,) = yield [self.job(seed, self.states[start, seed], targets)]
            self.keep(name, seed, state, start=start)

        def weights_by(student: Tensor, power: float) -> Tensor:
            agreed = torch.stack([agreement(own, student) for own in clients]) ** power
            return agreed.clamp(min=1e-3) * known

        def iterated(name: str, power: float, start: str) -> Recipe:
            student = self.labels("global, today", seed)
            for number in (1, 2):
                targets = self.sharp(mean_of(clients, weights_by(student, power)))
                (state,) = yield [self.job(seed, self.states[start, seed], targets)]
                self.keep(f"{name}, round {number}", seed, state, start=start)
                student = self.labels(f"{name}, round {number}", seed)

        def pairwise(power: float) -> Tensor:
            agreed = []
            for k, own in enumerate(clients):
                others = [agreement(own, clients[j]) for j in range(len(clients)) if j != k]
                agreed.append(torch.stack(others).mean(dim=0))
            return (torch.stack(agreed) ** power).clamp(min=1e-3) * known

        by_student = partial(weights_by, self.labels("global, today", seed))
        chosen: dict[str, tuple[str, Tensor]] = {
            "today, from adapted": (f"{pick} alone", self.today(clients)),
            "global, twice": ("global, today", self.sharp(self.labels("global, today", seed))),
            "adapted: mean": (pick, self.sharp(mean_of(adapted, known))),
            "adapted: mean, from adapted": (f"{pick} alone", self.sharp(mean_of(adapted, known))),
            "adapted: geometric": (f"{pick} alone", self.sharp(geometric_mean_of(adapted, known))),
            "clients: geometric": (pick, self.sharp(geometric_mean_of(clients, known))),
            "by agreement^2": (pick, self.sharp(mean_of(clients, by_student(2.0)))),
            "by agreement^4, from adapted": (
                f"{pick} alone",
                self.sharp(mean_of(clients, by_student(4.0))),
            ),
            "geometric, by agreement^4": (
                pick,
                self.sharp(geometric_mean_of(clients, by_student(4.0))),
            ),
            "pairwise agreement^4": (pick, self.sharp(mean_of(clients, pairwise(4.0)))),
            "today, balance 0.5": (pick, balanced(mean_of(clients, known), 0.5, TEMPERATURE)),
            "by agreement^4, balance 0.5": (
                pick,
                balanced(mean_of(clients, by_student(4.0)), 0.5, TEMPERATURE),
            ),
        }
        for name in self.names:
            targets = self.sharp(self.labels(f"{name} alone", seed))
            chosen[f"{name} alone, twice"] = (f"{name} alone", targets)
        rows = [iterated("by agreement^4", 4.0, pick), iterated("by agreement^8", 8.0, pick)]
        rows += [from_state(name, *entry) for name, entry in chosen.items()]
        return rows

    def judged(self, seed: int) -> list[Recipe]:
        """Whom to trust, by a student: a whole first one, or the same one at half time; views."""
        clients, known = self.clients(seed), self.world.known
        pick = self.names[self.most_agreeing(clients)]
        images = self.world.server_seen
        views = [
            self.judge.averaged_over_views(self.states[site.name, seed], images, site.known)
            for site in self.world.sites
        ]

        def weights_by(student: Tensor, own: list[Tensor]) -> Tensor:
            agreed = torch.stack([agreement(one, student) for one in own]) ** 4
            return agreed.clamp(min=1e-3) * known

        def from_state(name: str, start: State, targets: Tensor) -> Recipe:
            (state,) = yield [self.job(seed, start, targets)]
            self.keep(name, seed, state)

        def at_half_time(name: str, mean: Callable, own: list[Tensor], judge: bool) -> Recipe:
            half = self.iterations // 2
            start, targets = self.states[pick, seed], self.sharp(mean(own, known))
            (state,) = yield [self.job(seed, start, targets, iterations=half)]
            if judge:
                student = self.judge.probabilities(state, images)[0]
                targets = self.sharp(mean(own, weights_by(student, own)))
            (state,) = yield [self.job(seed + 1000, state, targets, iterations=half)]
            self.keep(name, seed, state)

        student = self.labels("global, today", seed)
        start = self.states[pick, seed]
        geometric = geometric_mean_of
        normed: dict[float, list[Tensor]] = {}
        states: dict[tuple[float, str], State] = {}
        for share in (0.5, 1.0):
            normed[share] = []
            for site in self.world.sites:
                state = self.judge.normalised_to(self.states[site.name, seed], images, share)
                states[share, site.name] = state
                self.keep(f"{site.name}, AdaBN {share}", seed, state)
                normed[share] += self.judge.probabilities(state, images, site.known)
        rows = [
            from_state("geometric", start, self.sharp(geometric(clients, known))),
            from_state(
                "geometric, agreement^4",
                start,
                self.sharp(geometric(clients, weights_by(student, clients))),
            ),
            from_state("views: geometric", start, self.sharp(geometric(views, known))),
            from_state(
                "views: geometric, agreement^4",
                start,
                self.sharp(geometric(views, weights_by(student, views))),
            ),
            at_half_time("halves: today", mean_of, clients, False),
            at_half_time("halves: geometric, judged", geometric, clients, True),
            at_half_time("halves, views: geometric, judged", geometric, views, True),
        ]
        for share, own in normed.items():
            begin = states[share, pick]
            judged = self.sharp(geometric(own, weights_by(student, own)))
            rows += [
                from_state(f"AdaBN {share}: today", begin, self.sharp(mean_of(own, known))),
                from_state(f"AdaBN {share}: geometric, agreement^4", begin, judged),
            ]
        for k, name in enumerate(self.names):
            rows.append(
                from_state(f"views: {name} alone", self.states[name, seed], self.sharp(views[k]))
            )
            begin, own = states[0.5, name], normed[0.5][k]
            rows.append(from_state(f"AdaBN 0.5: {name} alone", begin, self.sharp(own)))
        return rows

    def with_made(self, seed: int) -> list[Recipe]:
        """What images that the server makes are worth: to all clients, and to each alone."""
        clients, known = self.clients(seed), self.world.known
        pick = self.names[self.most_agreeing(clients)]
        own = self.world.parts["own"]
        sets = {
            f"own + {name}": np.concatenate([own, part])
            for name, part in self.world.parts.items()
            if name != "own"
        }
        averaged = fedavg.average([self.states[n, seed] for n in self.names], [1] * len(self.names))

        def distill(name: str, start: State, target: Tensor, shown: np.ndarray) -> Recipe:
            targets = torch.zeros_like(target)
            targets[shown] = balanced(target[shown], BALANCE, TEMPERATURE)
            (state,) = yield [self.job(seed, start, targets, images=shown)]
            self.keep(name, seed, state, start=pick)

        fused = mean_of(clients, known)
        rows = [distill("own: global from FedAvg", averaged, fused, own)]
        for name, shown in sets.items():
            rows.append(distill(f"{name}: global", self.states[pick, seed], fused, shown))
            rows.append(distill(f"{name}: global from FedAvg", averaged, fused, shown))
            for k, client in enumerate(self.names):
                start = self.states[client, seed]
                rows.append(distill(f"{name}: {client} alone", start, clients[k], shown))
        return rows

    def dump(self, seed: int, names: list[str]) -> None:
        """Write models' probabilities of CamVid's validation images, for studies of targets."""
        known = {site.name: site.known for site in self.world.sites}
        images = self.world.scored["camvid"].images
        arrays = {}
        for name in names:
            state = self.states[name, seed]
            probabilities = self.judge.probabilities(state, images, known.get(name))[0]
            arrays[name] = (probabilities * 255).round().to(torch.uint8).cpu().numpy()
        np.savez_compressed(self.out / f"val-{seed}.npz", **arrays)


KIND_FIELDS = set(Kind.__dataclass_fields__)
CENTRALIZED = ("centralized", "centralized, 3x")


@app.command()
def run(
    file: Path,
    encoder_weights: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    seconds: Annotated[float, typer.Option(help="Stop in time.")] = 540.0,
    seed: Annotated[list[int], typer.Option()] = [0, 1, 2],  # noqa: B006
    iterations: Annotated[int, typer.Option(help="Of every training.")] = 1000,
    places: Annotated[int, typer.Option(help="Trainings side by side.")] = 12,
    stage: Annotated[list[str], typer.Option(help="Stages after the references.")] = [],  # noqa: B006
    scored: Annotated[list[str], typer.Option(help="Sets of the pack to score on.")] = ["camvid"],  # noqa: B006
) -> None:
    """Make the rows."""
    deadline = time.monotonic() + seconds
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    out.mkdir(parents=True, exist_ok=True)
    device = best_device()
    world = load(file, device)
    typer.echo(f"{file}: read in {seconds - deadline + time.monotonic():.0f} s")
    options = {"iterations": iterations, "sets": scored, "places": places, "deadline": deadline}
    study = Study(world, str(encoder_weights), out, seed, **options)
    trainings = [study.train_clients, *([study.train_longer] if "longer" in stage else [])]
    done = study.trainer.run([train(s) for s in seed for train in trainings])
    typer.echo(f"clients: {time.monotonic() - study.began:.0f} s")
    if done:
        done = study.trainer.run([r for s in seed for r in study.references(s)])
        typer.echo(f"references: {time.monotonic() - study.began:.0f} s")
    if done and "candidates" in stage:
        done = study.trainer.run([r for s in seed for r in study.candidates(s)])
        typer.echo(f"candidates: {time.monotonic() - study.began:.0f} s")
    if done and "judged" in stage:
        done = study.trainer.run([r for s in seed for r in study.judged(s)])
        typer.echo(f"judged: {time.monotonic() - study.began:.0f} s")
    if done and "made" in stage:
        done = study.trainer.run([r for s in seed for r in study.with_made(s)])
        typer.echo(f"made: {time.monotonic() - study.began:.0f} s")
    if done and "dump" in stage:
        for s in seed:
            study.dump(s, [*study.names, *(f"{n} alone" for n in study.names), "global, today"])
    typer.echo(f"{'all' if done else 'not all'} rows made, {study.trainer.slots} graphs captured")
    table(out)


@app.command()
def table(out: Path) -> None:
    """Print mIoU in %, mean over seeds and each, by set and model."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for line in (out / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault((row["set"], row["model"]), {})[row["seed"]] = row["miou"]
    for (data, model), by_seed in found.items():
        values = [by_seed[s] for s in sorted(by_seed)]
        each = " ".join(f"{v:5.1f}" for v in values)
        typer.echo(f"{data:<9} {model:<44} {np.mean(values):5.1f}   {each}")


if __name__ == "__main__":
    app()
