"""What trainers and wrappers put before the names of weights, such as `module._orig_mod.`.

A file is searched for the prefix, made of whole dotted components, below which the model's own
names stand. All that is known of prefixes is which ones mean an average, such as EMA.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import takewhile

import torch
from torch import Tensor

from fedseg.errors import FedsegError
from fedseg.models.weight_files import announced_tensors
from fedseg.storage.provenance import notices

Names = dict[str, str]
"""Names in a file, by the model's names for the same tensors."""

WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Components that PyTorch adds wherever a module was compiled, sharded or checkpointed."""
AVERAGE = re.compile(r"(^|[._])(ema|swa|averaged?)([._]|$)", re.IGNORECASE)


class Renamed(Mapping[str, Tensor]):
    """Weights under other names, each read when it is looked at.

    Args:
        weights: by the names that they have.
        names: of all that are kept, by their new names.
    """

    def __init__(self, weights: Mapping[str, Tensor], names: Names) -> None:
        self._weights, self.names = weights, names

    @property
    def announced(self) -> "Renamed":
        """Their outlines; see `weight_files.announced_tensors`."""
        return Renamed(announced_tensors(self._weights), self.names)

    def __getitem__(self, name: str) -> Tensor:
        return self._weights[self.names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def select_weights(
    weights: Mapping[str, Tensor], fit: Callable[[Names], Names | None], least: int, whose: str
) -> Renamed | None:
    """The weights of a model among those of a file, under the model's names.

    Where a file holds the model more than once, an average (`ema_model.`) is preferred to what it
    is the average of, with a notice.

    Args:
        weights: of the file.
        fit: from the names below a prefix, without it, to those that the model has; None where they
            are not the model's.
        least: how many tensors the model has at least.
        whose: the weights are, for errors.

    Returns:
        The weights; None where they are not the model's.

    Raises:
        FedsegError: the file holds several different models of this kind.
    """
    found: list[Names] = []
    for names in _below_prefixes(weights, least):
        fitting = fit(names)
        if fitting and not any(fitting.items() <= other.items() for other in found):
            found.append(fitting)
    if not found:
        return None
    chosen = [Renamed(weights, names) for names in found]
    if all(_is_equal(chosen[0], other) for other in chosen[1:]):
        return chosen[0]
    prefixes = [_common_prefix(names.values()) for names in found]
    averages = [index for index, prefix in enumerate(prefixes) if AVERAGE.search(prefix)]
    listed = " and ".join(f"'{prefix}'" for prefix in prefixes)
    if len(averages) != 1:
        raise FedsegError(f"{whose}: holds several models, below {listed}; leave one in the file")
    _note(f"{whose}: holds models below {listed}; using '{prefixes[averages[0]]}', the average")
    return chosen[averages[0]]


def strip_prefix(
    wanted: Iterable[str], weights: Mapping[str, Tensor], whose: str
) -> Mapping[str, Tensor]:
    """Weights under a model's names, if exactly those stand below a prefix; else as they are.

    What stands beside the prefix, such as a counter, is left out.

    Raises:
        FedsegError: see `select_weights`.
    """
    own = set(wanted)
    if own == weights.keys():
        return weights

    def fit(names: Names) -> Names | None:
        is_top = all(names.get(name) == name for name in own)
        return {name: names[name] for name in own} if is_top or names.keys() == own else None

    selected = select_weights(weights, fit, len(own), whose)
    if selected is None or all(name == given for name, given in selected.names.items()):
        return weights  # with whatever else is there
    return selected


def without_common_prefix(weights: Mapping[str, Tensor]) -> Renamed:
    """Weights under their names without the components that all of them begin with."""
    prefix = _common_prefix(weights)
    return Renamed(weights, {name.removeprefix(prefix): name for name in weights})


def _below_prefixes(names: Iterable[str], least: int) -> Iterator[Names]:
    """For each dotted prefix of enough names, "" first: the names by what follows it."""
    below: dict[str, list[str]] = {"": []}
    for name in names:
        below[""].append(name)
        for dot in re.finditer(r"\.", name):
            below.setdefault(name[: dot.end()], []).append(name)
    for prefix in sorted(below, key=len):
        if len(below[prefix]) >= least:
            stripped = {name: _unwrapped(name[len(prefix) :]) for name in below[prefix]}
            times = Counter(stripped.values())
            yield {rest: name for name, rest in stripped.items() if times[rest] == 1}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _common_prefix(names: Iterable[str]) -> str:
    """The components that all names begin with, with the dot after them; "" for none."""
    paths = [name.split(".")[:-1] for name in names]
    first, last = min(paths, default=[]), max(paths, default=[])
    pairs = zip(first, last, strict=False)
    shared = takewhile(lambda pair: pair[0] == pair[1], pairs)
    return "".join(f"{part}." for part, _ in shared)


def _is_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    shapes, others = ({n: t.shape for n, t in announced_tensors(w).items()} for w in (one, other))
    return shapes == others and all(torch.equal(one[n], other[n]) for n in one)


@cache  # each client of a simulation reads the same file
def _note(text: str) -> None:
    notices.warning("%s", text)
