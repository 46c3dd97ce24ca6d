"""The model card of a checkpoint that is published, written from its run."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fedseg.config import GLOBAL, Federation, Protocol, load
from fedseg.errors import plain
from fedseg.files import read_json
from fedseg.models.info import load_info
from fedseg.registry import MODELS
from fedseg.report.facts import missing_classes
from fedseg.report.licences import licences
from fedseg.run.folder import Run
from fedseg.run.records import Result, Score
from fedseg.run.result import load_result

LONGEST = 2000
"""Characters of one cell."""


def model_card(checkpoint: Path, repository: str) -> str:
    """The README.md of a checkpoint's repository, in Markdown.

    Clients, licences and scores are those of the run whose global model it is. It names no folder.

    Args:
        checkpoint: its folder; of another than a run's global model only the model is described.
        repository: OWNER/NAME.

    Raises:
        FedsegError: not a checkpoint folder.
    """
    info = load_info(checkpoint)
    run = Run(checkpoint.absolute().parent)
    is_global = checkpoint.absolute() == run.global_model and run.config.is_file()
    result = load_result(run.path) if is_global and run.result.is_file() else None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # it is Markdown; `cell` escapes what others wrote
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "missing_classes": missing_classes, "shown": _shown}
    return environment.get_template("model_card.md").render(
        info=info,
        network=_transformers_class(checkpoint),
        is_plugin=not MODELS.is_built_in(info.arch),
        repository=repository,
        result=result,
        clients=_taught(result),
        scores=_scores(run, result),
        licences=_licences(load(run.config)) if result else {},
        unseen=[name for c, name in enumerate(info.classes.names) if c not in info.coverage],
    )


def _transformers_class(checkpoint: Path) -> str | None:
    """The class of transformers that opens a checkpoint folder; None where none does."""
    path = checkpoint / "config.json"
    names = read_json(path).get("architectures") if path.is_file() else None
    return names[0] if names else None


def _taught(result: Result | None) -> dict[str, object]:
    clients = result.clients.items() if result else []
    left_out = result.suspects if result else ()
    return {name: one for name, one in clients if one.is_good and name not in left_out}


def _scores(run: Run, result: Result | None) -> dict[str, Score]:
    names = result.evaluation.get(GLOBAL, {}) if result else {}
    files = {name: run.score(GLOBAL, name) for name in names}
    return {name: Score.read(file) for name, file in files.items() if file.is_file()}


def _licences(federation: Federation) -> dict[str, str]:
    """Licences by what they are of; of a file, only its name is given away."""
    found = licences(federation).items()
    return {re.sub(r"\S*/(\S+)$", r"\1", what): licence for what, licence in found}


def _shown(protocol: Protocol) -> str:
    """How images are shown to a model, in words."""
    heights = {"model": "at the height that the model was made for", "original": "as they are"}
    parts = [heights.get(str(protocol.height), f"{protocol.height} pixels high")]
    if protocol.window:
        parts.append(f"in windows of {protocol.window[0]}x{protocol.window[1]}")
    return ", ".join(parts)


def _cell(text: str) -> str:
    """Text of others' as Markdown that stays in its cell and holds no markup."""
    return re.sub(r"([\\`*\[\]<>|#])", r"\\\1", plain(text, LONGEST))
