"""The page: its content, and the template that is filled in with it."""

import base64
import hashlib
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fedseg.config import GLOBAL, Federation
from fedseg.report import facts
from fedseg.report.charts import loss_charts
from fedseg.report.generated import find_generated
from fedseg.report.heat import class_maps, confusion_map, inconsistency_map, trust_map
from fedseg.report.licences import find_licences
from fedseg.report.samples import find_samples
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import Inconsistency, Result, Score
from fedseg.units import format_bytes, format_duration

HERE = Path(__file__).parent


def render(run: Run, federation: Federation, result: Result, progress: Progress) -> str:
    """A run as one HTML page that refers to nothing outside of itself.

    Args:
        run: the run folder.
        federation: its configuration.
        result: of the run.
        progress: receives the state of the work.

    Raises:
        FedsegError: a checkpoint of the run can't be used.
    """
    clients = good_clients(run, federation)
    models = clients | ({GLOBAL: run.global_model} if run.global_model.is_dir() else {})
    trusted = [name for name in clients if name not in result.suspects]
    has_record = run.inconsistency.is_file()
    disagreement = Inconsistency.read(run.inconsistency) if has_record else None
    charts = loss_charts(run, list(result.clients))
    content = {
        "name": run.path.name,
        "result": result,
        "columns": facts.columns(result),
        "evaluated": [*federation.evaluation, *federation.evaluators],
        "standings": facts.standings(result),
        "headlines": facts.headlines(result),
        "sample_sets": find_samples(federation, models, trusted, progress) if models else [],
        "class_maps": class_maps(result, federation),
        "confusions": {
            name: confusion_map(Score.read(path))
            for name in result.scored_sets()
            if (path := run.score(GLOBAL, name)).is_file()
        },
        "disagreement": disagreement,
        "inconsistency": inconsistency_map(disagreement, federation.classes)
        if disagreement
        else None,
        "trust": trust_map(disagreement, federation.classes) if disagreement else None,
        "classes": federation.classes,
        "generated": find_generated(run, federation.classes),
        "charts": {name: Markup(drawing) for name, drawing in charts.items()},
        "generator": federation.server.augmentation.generator,
        "licences": find_licences(federation),
        "configuration": run.config.read_text(encoding="utf-8"),
    }
    return fill_in("report.html", content)


def fill_in(template: str, content: dict[str, Any]) -> str:
    """A page of this folder's templates, with the style sheet and script that all share."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,  # names and reasons come from other people's machines
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "megabytes": format_bytes,
        "duration": format_duration,
        "missing_classes": facts.missing_classes,
    }
    style = Markup((HERE / "report.css").read_text(encoding="utf-8"))
    script = (HERE / "report.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        content,
        style=style,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        today=date.today().isoformat(),
    )
