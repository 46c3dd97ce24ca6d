"""Images on disk, how models see them, and the sets that models are scored on."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from fedseg.config.names import Name
from fedseg.plugins import short_name
from fedseg.settings import Section, refuse_twice

WindowSide = Annotated[int, Field(ge=32, le=8192)]


class Source(Section):
    """Images on disk, read as a dataset card says, or by code of your own.

    Examples:
        >>> import fedseg
        >>> source = fedseg.Source(dataset="folder", root="data/stormnight")
        >>> len(fedseg.open_dataset(source))
        4
    """

    dataset: str
    """Name of a card in datasets/, the path of a card of your own, or a "module:object" of your
    own."""
    root: Path | None = None
    """Folder of the dataset; embedded data goes without."""
    split: str | None = None
    """A split of the card; may be left out where the card has only one, or one called "all"."""

    @property
    def plain(self) -> "Source":
        """The images alone, without the settings of a client, server or evaluation set."""
        return Source(dataset=self.dataset, root=self.root, split=self.split)


class Protocol(Section):
    """How images are shown to a model that is scored: a part of the score.

    Examples:
        >>> import fedseg
        >>> fedseg.Protocol(height=1024, window=(512, 1024)).window
        (512, 1024)
    """

    height: Literal["model", "original"] | Annotated[int, Field(ge=32, le=8192)] = "model"
    """Height in pixels to which images are resized, in their own proportions; "model": the height
    the model was made for; "original": as they are."""
    window: tuple[WindowSide, WindowSide] | None = None
    """Height and width in pixels of a window that slides over the image by two thirds of itself;
    multiples of the model's stride. Default: the image as a whole."""


class Evaluation(Source):
    """A labelled set that models are scored on."""

    name: Name
    """Column of the result table; default: the dataset's name."""
    protocol: Protocol = Protocol()
    """Overrides [protocol] for this set."""


class Evaluator(Evaluation):
    """A node that scores the global model on a private labelled set.

    Only the confusion matrix leaves it.
    """

    dataset: str = ""
    """As `dataset` of the server; left out, with `root`, where the evaluator has a node of its own
    that knows."""


class Suite(Section):
    """Several labelled sets to score checkpoints on."""

    protocol: Protocol = Protocol()
    """Every set's default."""
    evaluation: list[Evaluation] = Field(min_length=1)
    """One table a labelled set."""

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, data: Any) -> Any:
        return with_protocols(data, "evaluation") if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        refuse_twice("evaluation", [table.name for table in self.evaluation])
        return self


def inherit_tables(table: Any, data: dict[str, Any], **keys: str) -> Any:
    """A table whose sub-table `key` overrides the table `default` of the whole file."""
    if not isinstance(table, dict):
        return table
    merged = {}
    for key, default in keys.items():
        own, given = table.get(key, {}), data.get(default, {})
        mergeable = isinstance(own, dict) and isinstance(given, dict)
        merged[key] = {**given, **own} if mergeable else own
    return table | merged


def with_protocols(data: dict[str, Any], *lists: str) -> dict[str, Any]:
    """Evaluation sets with the file's protocol, and named after their dataset unless they say."""

    def complete(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        name = {"name": short_name(str(table["dataset"]))} if "dataset" in table else {}
        return inherit_tables(name | table, data, protocol="protocol")

    found = {key: data[key] for key in lists if isinstance(data.get(key), list)}
    return data | {key: [complete(table) for table in tables] for key, tables in found.items()}
