"""What a configuration chooses by name, imported when it is chosen.

A name is built in, the entry point of an installed package, or "module:object": docs/extending.md.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from fedseg.errors import FedsegError, plain
from fedseg.plugins import (
    check_methods,
    check_signature,
    is_reference,
    load_object,
    module_name,
    source_hash,
)


class Registry:
    """Names, and where what they stand for is defined.

    Args:
        kind: what is chosen, for errors; packages offer more as entry points `fedseg.<kind>`.
        entries: "module:object" by name, of what is built in.
        parameters: what it is called with.
        methods: what a class of it must have.
    """

    def __init__(
        self,
        kind: str,
        entries: dict[str, str],
        parameters: tuple[str, ...],
        methods: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._parameters = parameters
        self._methods = methods
        self._trusted: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter({**_offered(self.kind), **self._entries})

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in _offered(self.kind)

    def is_built_in(self, name: str) -> bool:
        """Whether a name is fedseg's own."""
        return name in self._entries

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Args:
            name: of an entry, or "module:object".

        Raises:
            FedsegError: a plugin that can't be imported, or is not what it should be.
        """
        if name in self._entries:
            module, _, attribute = self._entries[name].partition(":")
            return getattr(import_module(module), attribute)
        found = load_object(self.kind, self._reference(name))
        check_signature(self.kind, name, found, self._parameters)
        check_methods(self.kind, name, found, self._methods)
        return found

    def trust(self, name: str) -> None:
        """Let checkpoints name a plugin: one that a configuration or the command line names."""
        if not self.is_built_in(name):
            self._trusted[module_name(name)] = name

    def all_trusted(self) -> list[str]:
        """The plugins that checkpoints may name, as configurations name them."""
        return list(self._trusted.values())

    def trusted(self, name: str) -> str:
        """The plugin that a checkpoint names, as a configuration names it; nothing is imported.

        Raises:
            FedsegError: nobody on this machine named it.
        """
        is_plugin = is_reference(name) or name in self
        if self.is_built_in(name) or not is_plugin:
            return name
        if name not in self._trusted:
            shown = plain(name, 100)
            raise FedsegError(
                f"{self.kind} '{shown}' is code that a checkpoint names, and is not imported for "
                f"that; if you trust it, name it in the federation file or with --plugin {shown}"
            )
        return self._trusted[name]

    def source(self, name: str) -> dict[str, str]:
        """Hash of a plugin's source, by its name; nothing of what is built in.

        Raises:
            FedsegError: there is no such module.
        """
        return {} if name in self._entries else {name: source_hash(self._reference(name))}

    def _reference(self, name: str) -> str:
        return name if is_reference(name) else _offered(self.kind)[name]


@cache
def _offered(kind: str) -> dict[str, str]:
    """What installed packages offer, "module:object" by name."""
    return {point.name: point.value for point in entry_points(group=f"fedseg.{kind}")}


def sources(chosen: Iterable[tuple[Registry, str]]) -> dict[str, str]:
    """Hashes of the plugins among some names: what is made with them depends on their source."""
    return {name: value for registry, one in chosen for name, value in registry.source(one).items()}


_EXTRAS = "fedseg.extras"
GENERATORS = Registry(
    "generator",
    {
        "mix": f"{_EXTRAS}.mix:Mix",
        "streetsim": f"{_EXTRAS}.streetsim_images:Streetsim",
        "diffusion": f"{_EXTRAS}.diffusion:Diffusion",
    },
    ("settings", "images", "teachers"),
    ("makes", "make"),
)
"""Classes that satisfy `fedseg.extend.Generator`."""
FUSION_RULES = Registry(
    "fusion",
    {
        "mean": "fedseg.method.fusion.mean:write_targets",
        "features": f"{_EXTRAS}.gated_fusion:write_targets",
    },
    ("task",),
)
"""Functions from a `fedseg.extend.FusionTask` to targets on disk."""
LOSSES = Registry(
    "loss",
    {"cross_entropy": "fedseg.training.losses:cross_entropy"},
    ("logits", "labels", "weights"),
)
"""Functions that satisfy `fedseg.extend.Loss`."""
STUDENT_LOSSES = Registry(
    "student loss",
    {"cross_entropy": "fedseg.method.student:soft_cross_entropy"},
    ("logits", "target"),
)
"""Functions that satisfy `fedseg.extend.StudentLoss`."""
TRAINERS = Registry(
    "trainer",
    {
        "supervised": "fedseg.training.supervised:train",
        "private": f"{_EXTRAS}.private_training:train",
    },
    ("task",),
)
"""Functions from a `fedseg.extend.TrainingTask` to a trained model; "private" needs an extra."""
SMP_MODELS = (
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
    "segformer",
    "dpt",
)
"""Architectures of segmentation-models-pytorch."""
MODELS = Registry(
    "model",
    {
        **dict.fromkeys(SMP_MODELS, "fedseg.models.smp:build"),
        **dict.fromkeys(
            ("hf_segformer", "hf_mask2former", "hf_eomt"), f"{_EXTRAS}.huggingface:build"
        ),
    },
    ("spec", "classes"),
)
"""Functions that satisfy `fedseg.extend.ModelBuilder`."""
ADAPTERS = Registry("adapter", {"lora": f"{_EXTRAS}.lora:add_adapters"}, ("encoder", "name"))
"""Functions that add to an encoder what is trained of it, in place."""
DATASETS = Registry("dataset", {}, ("source",))
"""Functions from a `Source` to what satisfies `fedseg.extend.OwnDataset`; others have a card."""
BASELINES = Registry(
    "baseline",
    {
        "fedavg": "fedseg.method.baselines.fedavg:make",
        "ensemble": "fedseg.method.baselines.ensemble:make",
        "feddf": "fedseg.method.baselines.feddf:make",
        "centralized": "fedseg.method.baselines.centralized:make",
        "alone": "fedseg.method.baselines.alone:make",
    },
    ("context",),
)
"""Functions that satisfy `fedseg.extend.Baseline`."""
TRACKERS = Registry(
    "tracker",
    {
        "tensorboard": f"{_EXTRAS}.tensorboard:TensorBoard",
        "mlflow": f"{_EXTRAS}.mlflow:MLflow",
        "wandb": f"{_EXTRAS}.wandb:WandB",
    },
    ("folder", "run", "name"),
    ("log", "close"),
)
"""Classes that satisfy `fedseg.extend.Tracker`; those built in need the extra of their name."""
