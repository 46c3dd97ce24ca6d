"""Reading a federation file, or a suite: checked before anything is trained."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import tomli_w
from pydantic import (
    BaseModel,
    ValidationError,
)

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config.federation import Client, Federation, Server
from fedseg.config.names import PLUGIN_KEYS
from fedseg.errors import FedsegError, first_line, why_unreadable
from fedseg.plugins import is_reference, locate_reference
from fedseg.registry import (
    FUSION_RULES,
    GENERATORS,
    LOSSES,
    STUDENT_LOSSES,
    TRAINERS,
    plugin_sources,
)
from fedseg.settings import differing_settings, explain, with_settings

T = TypeVar("T", bound=BaseModel)

MOST_PARTS = 100
"""Parts that a dotted key may have."""

LONG_KEY = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++\s*+\.\s*+){{{MOST_PARTS}}}")
"""A key of more parts. It is looked for from the beginnings of words, and nothing is tried twice:
the time grows with the length of the text."""


@overload
def load(path: Path | str, *, settings: Iterable[str] = ()) -> Federation: ...


@overload
def load(path: Path | str, kind: type[T], *, settings: Iterable[str] = ()) -> T: ...


def load(path: Path | str, kind: Any = Federation, *, settings: Iterable[str] = ()) -> Any:
    """Read and check a federation file, or a suite; relative paths are relative to its folder.

    Args:
        path: the TOML file.
        kind: what it holds.
        settings: values in place of the file's, `KEY=VALUE` each; see `settings.with_settings`.

    Raises:
        FedsegError: naming the file, the key and the remedy.

    Examples:
        >>> import fedseg
        >>> federation = fedseg.load_federation("federation.toml")
        >>> [client.name for client in federation.clients]
        ['boulevard', 'suburb', 'oldtown']
    """
    path = Path(path)
    return resolve_paths(kind, read_toml(path), path, settings)


def resolve_paths(
    kind: type[T], data: dict[str, Any], path: Path, settings: Iterable[str] = ()
) -> T:
    """Check the content of a file; relative paths in it are relative to its folder.

    Raises:
        FedsegError: naming the file, the key and the remedy.
    """
    content = parse(kind, data, path, settings)
    return kind.model_validate(_absolute(content.model_dump(), path))


def read_classes(path: Path | None) -> ClassList:
    """The class list in a file, which is a federation's or holds the keys of [classes] alone.

    Args:
        path: the TOML file; None: Cityscapes' classes.

    Raises:
        FedsegError: the file has none, or a mistake in them.
    """
    if path is None:
        return CITYSCAPES
    data = read_toml(path)
    if "classes" not in data and "names" not in data:
        raise FedsegError(f"{path}: has no [classes]; see docs/classes.md")
    return parse(ClassList, data.get("classes", data), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        FedsegError: there is no such file, or it is not TOML.
    """
    if path.exists() and not path.is_file():
        files = sorted(path.glob("*.toml"))[:3] if path.is_dir() else []
        hint = "; did you mean " + " or ".join(f"'{file}'" for file in files) + "?" if files else ""
        raise FedsegError(f"{path}: is no file{hint}")
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FedsegError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FedsegError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_toml(text, path)


def parse_toml(text: str, origin: Path) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        FedsegError: it is none.
    """
    try:
        # tomllib's memory grows with the square of a key's parts.
        if LONG_KEY.search(text):
            raise RecursionError
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FedsegError(f"{origin}: not valid TOML: {why_unreadable(error)}") from None


def parse(kind: type[T], data: dict[str, Any], origin: Path, settings: Iterable[str] = ()) -> T:
    """Check `data`, with `settings` in place of some of its values, against a model.

    Raises:
        FedsegError: every mistake in one line, with a suggestion for a misspelt key.
    """
    try:
        content = with_settings(data, settings := list(settings))
        try:
            return kind.model_validate(content)
        except ValidationError as error:
            raise FedsegError(f"{origin}: {explain(kind, error, content, settings)}") from None
    except RecursionError as error:
        raise FedsegError(f"{origin}: {why_unreadable(error)}") from None


def dump(federation: Federation) -> str:
    """The configuration as TOML that `load` reads back to an equal one."""
    return tomli_w.dumps(federation.model_dump(mode="json", exclude_none=True))


def shared_sets(federations: Sequence[Federation]) -> tuple[str, ...]:
    """Names of the evaluation sets, evaluators' too, that are the same in all federations.

    There are none where their class lists differ.
    """
    if any(federation.classes != federations[0].classes for federation in federations):
        return ()
    first, *others = ([*one.evaluation, *one.evaluators] for one in federations)
    return tuple(chosen.name for chosen in first if all(chosen in other for other in others))


def differing_keys(one: Federation, other: Federation) -> list[str]:
    """The dotted keys whose values differ, sorted; of a value that is handed down, its origin."""
    found = differing_settings(one.model_dump(mode="json"), other.model_dump(mode="json"))
    own = differing_settings(_without_inherited(one), _without_inherited(other))
    return [key for key in found if key in own]


def _without_inherited(federation: Federation) -> dict[str, Any]:
    """The content of a federation, without the values that tables have from others."""
    data = federation.model_dump(mode="json")

    def reduce(table: dict[str, Any], key: str, given: dict[str, Any]) -> None:
        table[key] = {k: v for k, v in table[key].items() if k not in given or v != given[k]}

    for client in data["clients"]:
        reduce(client, "model", data["model"])
        reduce(client, "training", data["training"])
    reduce(data["server"]["distillation"], "training", data["training"])
    for chosen in [*data["evaluation"], *data["evaluators"]]:
        reduce(chosen, "protocol", data["protocol"])
    return data


def _absolute(data: dict[str, Any], file: Path) -> dict[str, Any]:
    """Make its paths absolute: of `root`, `state`, cards, weights, `model`, plugins."""
    base = file.parent.absolute()

    def resolve(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _absolute(value, file)
        if isinstance(value, list):
            return [resolve(key, item) for item in value]
        is_path = (
            (key in ("root", "state") and value is not None)
            or (key == "dataset" and str(value).endswith(".toml"))
            or (key == "encoder_weights" and re.fullmatch(r"(?!hf:).+\.safetensors", str(value)))
            or (key == "model" and str(value).startswith((".", "/", "~")))
        )
        if key in PLUGIN_KEYS and value is not None and is_reference(str(value)):
            return locate_reference(str(value), [base])
        if not is_path:
            return value
        try:
            return str((base / Path(value).expanduser()).resolve())
        except (OSError, RuntimeError) as error:  # nobody's home, or links in a circle
            raise FedsegError(f"{file}: {key} = '{value}': {first_line(error)}") from None

    return {key: resolve(key, value) for key, value in data.items()}


def plugins_of_client(client: Client) -> dict[str, str]:
    """Hashes of the plugins that a client trains with, by their names.

    Raises:
        FedsegError: there is no such module.
    """
    return plugin_sources([(LOSSES, client.training.loss), (TRAINERS, client.trainer)])


def plugins_of_server(server: Server) -> dict[str, str]:
    """Hashes of the plugins that the global model is made with, by their names.

    Raises:
        FedsegError: there is no such module.
    """
    distillation = server.distillation
    chosen = [(FUSION_RULES, distillation.fusion), (STUDENT_LOSSES, distillation.loss)]
    if server.augmentation.generator != "none":
        chosen.append((GENERATORS, server.augmentation.generator))
    return plugin_sources(chosen)


def with_seed(federation: Federation, seed: int) -> Federation:
    """The same federation with another seed.

    Raises:
        FedsegError: a seed out of range.
    """
    return parse(Federation, federation.model_dump() | {"seed": seed}, Path("--seed"))
