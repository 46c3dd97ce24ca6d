"""Datasets that are Python objects: each is written to the cache once, and read as files.

So fingerprints, provenance, resized copies and image viewers treat it as any other dataset. It is
written again when the plugin's source or a file below the root changes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from PIL import Image
from pydantic import ValidationError

from fedseg.classes import IGNORE
from fedseg.config import Source, explain
from fedseg.data.cards import Card, card_file, load_card
from fedseg.data.images import stored_size
from fedseg.data.loading import prefetch
from fedseg.errors import FedsegError
from fedseg.files import atomic_file, cache_dir, check_writable, digest
from fedseg.machine import cpus
from fedseg.plugins import blame_plugin, is_reference, locate_reference, module_name
from fedseg.registry import DATASETS
from fedseg.run.progress import Progress
from fedseg.storage.hashes import known_hashes
from fedseg.storage.provenance import Inputs, read_product, write_product


class OwnDataset(Protocol):
    """A dataset in Python: what `dataset = "module:object"` makes, called with a `Source`.

    `source.root` is a path, or None; `source.split` is a text of the dataset's own, or None. All
    files that it reads lie below the root. It is asked for one image at a time, each once.
    """

    classes: Sequence[str]
    """Names of its classes, which are those of the federation's class list: its trainIds. Not
    needed where there is no `label`."""

    def __len__(self) -> int:
        """Number of images, at least 1."""

    def image(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3], RGB."""

    def label(self, index: int) -> np.ndarray:
        """uint8 [H, W] of the image's size: places in `classes`; 255 is ignored.

        May be missing where the dataset has no labels. The server's are never asked for.
        """


def is_own(dataset: str) -> bool:
    """Whether a name is that of a dataset in Python, and not of a card."""
    return is_reference(dataset) or (dataset in DATASETS and not card_file(dataset).is_file())


def located_source(dataset: str, root: Path | None, split: str | None) -> Source:
    """A source as the command line names it: a plugin's file may lie in the working directory."""
    return Source(dataset=locate_reference(dataset), root=root, split=split)


def source_card(source: Source) -> Card:
    """The card of a source: read, or made from a dataset in Python, whose images are not opened.

    Raises:
        FedsegError: no such card or plugin, or a mistake in it.
    """
    if not is_own(source.dataset):
        return load_card(source.dataset)
    return _read_card(source, _inputs(source))


def _read_card(source: Source, inputs: Inputs) -> Card:
    record = _folder(source) / "card.json"
    content = read_product(record, inputs)
    if content is None:
        content = _describe(source, inputs)
        check_writable(cache_dir(), "cache: set FEDSEG_CACHE to a folder that can be written to")
        write_product(record, content, inputs)
    return _make_card(source, content)


def written_root(source: Source, labelled: bool, progress: Progress, stage: str) -> Path:
    """The cache folder with the images of a dataset in Python, written now if it is not there yet.

    Args:
        source: of `is_own`.
        labelled: whether labels are wanted; without, they are not asked for.
        progress: receives the state of the work.
        stage: what it is reported as.

    Raises:
        FedsegError: an image or label is not what `OwnDataset` says.
    """
    inputs = _inputs(source)
    card = _read_card(source, inputs)
    [part] = card.splits.values()
    report = partial(progress, stage)
    for kind in ("images", "labels") if labelled else ("images",):
        _write(source, kind, inputs, part.count or 0, len(card.classes), report)
    return _folder(source)


def _folder(source: Source) -> Path:
    return cache_dir() / "datasets" / digest(source.dataset, str(source.root), source.split)


def _inputs(source: Source) -> Inputs:
    """What the files of a dataset are made from."""
    root = source.root
    if root is not None and not root.exists():
        raise FedsegError(f"{root}: no such folder; set the root of dataset '{source.dataset}'")
    return {
        "plugin": DATASETS.source(source.dataset),
        "files": digest(*_states(root)) if root else "",
    }


def _states(root: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of each file below a root, sorted."""
    folders = sorted(os.walk(root)) if root.is_dir() else [(str(root.parent), [], [root.name])]
    for folder, _, names in folders:
        for path in sorted(Path(folder, name) for name in names):
            status = path.stat()
            yield str(path.relative_to(root.parent)), status.st_size, status.st_mtime_ns


def _open(source: Source, inputs: Inputs) -> OwnDataset:
    return _opened(source.plain.model_dump_json(), digest(inputs))


@lru_cache(maxsize=4)
def _opened(source: str, inputs: str) -> OwnDataset:
    """The object of a source, made once for the same inputs."""
    own = Source.model_validate_json(source)
    factory = DATASETS.load(own.dataset)
    with blame_plugin("dataset", own.dataset):
        dataset: OwnDataset = factory(own)
    return dataset


def _describe(source: Source, inputs: Inputs) -> dict[str, Any]:
    """What the card of a dataset says, without opening an image."""
    dataset, whose = _open(source, inputs), f"dataset '{source.dataset}'"
    for method in ("image", "__len__"):
        if not callable(getattr(dataset, method, None)):
            raise FedsegError(f"{whose}: {type(dataset).__name__} has no method '{method}'")
    is_labelled = callable(getattr(dataset, "label", None))
    names = getattr(dataset, "classes", None)
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    if is_labelled and not (is_list and names and all(isinstance(n, str) for n in names)):
        raise FedsegError(f"{whose}: classes is {names!r}; expected the names of its classes")
    with blame_plugin("dataset", source.dataset):
        count = len(dataset)
    if not count:
        raise FedsegError(f"{whose}: has no image; root {source.root}, split {source.split}")
    return {"classes": list(names or ()), "labelled": is_labelled, "count": count}


def _make_card(source: Source, content: dict[str, Any]) -> Card:
    name = module_name(source.dataset)
    split = {"labelled": content["labelled"], "count": content["count"]}
    entries = [{"name": entry, "ids": (place,)} for place, entry in enumerate(content["classes"])]
    card = {
        "name": name,
        "title": name,
        "kind": "any",
        "images": "images/*.png",
        "labels": "labels/*.png",
        "splits": {source.split or "all": split},
        **({"classes": entries} if entries else {}),
    }
    try:
        return Card.model_validate(card)
    except ValidationError as error:
        raise FedsegError(f"dataset '{source.dataset}': {explain(Card, error, card)}") from None


def _write(
    source: Source,
    kind: str,
    inputs: Inputs,
    count: int,
    classes: int,
    report: Callable[[int, int], None],
) -> None:
    """Write the images or the labels of a dataset, unless they are there."""
    folder = _folder(source) / kind
    record = folder.with_suffix(".json")
    files = [folder / f"{index:06}.png" for index in range(count)]
    known = read_product(record, inputs)
    if known and known["files"] == known_hashes(files):
        return
    folder.mkdir(parents=True, exist_ok=True)
    _folder(source).chmod(0o700)  # the images may be private
    dataset, lock = _open(source, inputs), Lock()

    def write(index: int) -> None:
        with lock, blame_plugin("dataset", source.dataset):
            array = getattr(dataset, kind.removesuffix("s"))(index)
        whose = f"dataset '{source.dataset}': {kind.removesuffix('s')}({index})"
        if kind == "images":
            _check_image(whose, array)
        else:
            _check_label(whose, array, stored_size(_folder(source) / "images" / files[index].name))
            _check_places(whose, array, classes)
        with atomic_file(files[index]) as temporary:
            Image.fromarray(array).save(temporary, "PNG", compress_level=1)

    for done, _ in enumerate(prefetch(write, range(count), cpus()), 1):
        report(done, count)
    for path in set(folder.iterdir()) - set(files):  # of a dataset that was larger
        path.unlink(missing_ok=True)
    write_product(record, {"files": known_hashes(files)}, inputs)


def _check_image(whose: str, array: Any) -> None:
    if not (_is_bytes(array) and array.ndim == 3 and array.shape[2:] == (3,) and array.size):
        raise FedsegError(f"{whose} is {_kind(array)}; expected uint8 [H, W, 3]")


def _check_label(whose: str, array: Any, size: tuple[int, int]) -> None:
    if not _is_bytes(array) or array.shape != size:
        raise FedsegError(f"{whose} is {_kind(array)}; expected uint8 {list(size)}, as its image")


def _check_places(whose: str, array: np.ndarray, classes: int) -> None:
    wrong = array[(array >= classes) & (array != IGNORE)]
    if len(wrong):
        raise FedsegError(
            f"{whose} holds {wrong.max()}; expected 0 to {classes - 1}, places in its classes, or "
            f"{IGNORE}"
        )


def _is_bytes(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == np.uint8


def _kind(array: Any) -> str:
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f"{array.dtype} {list(array.shape)}"
