"""Tables on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fedseg.config import GLOBAL
from fedseg.errors import plain
from fedseg.evaluation.tables import ScoreTable
from fedseg.run.listing import Listed
from fedseg.run.records import Result, Score
from fedseg.storage.cache import Part
from fedseg.units import format_bytes, format_duration, format_percent

if TYPE_CHECKING:  # it imports torch
    from fedseg.planning.estimate import Cost

BOLD = "\0"
"""Marks the start and the end of bold text in a cell."""


def runs_table(folder: Path, runs: list[Listed]) -> Table:
    """A row for each run folder in a folder."""
    sets = list(dict.fromkeys(name for run in runs for name in run.scores))
    table = Table("run", "status", caption="mIoU of the global model in %")
    table.add_column("seed", justify="right")
    table.add_column("clients", justify="right")
    for name in sets:
        table.add_column(Text(name), justify="right")
    for run in runs:
        cells = (run.scores.get(name) for name in sets)
        table.add_row(
            Text(str(run.path.relative_to(folder)) if run.path != folder else folder.name),
            run.status,
            "-" if run.seed is None else str(run.seed),
            str(run.clients),
            *map(format_percent, cells),
        )
    return table


def result_table(result: Result) -> Table:
    """Rows are models, columns evaluation sets, cells mIoU in percent (classes averaged over).

    Clients without a good upload have a row too, with the reason; evaluators without a score are
    named below the table.
    """
    sets = result.scored_sets()
    caption = Text("mIoU in % (classes averaged over)" if sets else "")
    for name, evaluator in result.evaluators.items():
        if not evaluator.is_good:
            caption.append(_warning(f"no score from evaluator {name}: {evaluator.reason}"))
    for name in result.suspects:
        why = result.why_left_out(name)
        caption.append(_warning(f"{name}: {why}; the global model was made without it"))
    for name in result.doubtful:
        caption.append(_warning(f"{name} agrees with nobody; kept, as there are too few to judge"))
    table = Table("model", caption=caption)
    for name in sets:
        table.add_column(name, justify="right", no_wrap=True)
    for name, client in result.clients.items():
        if not client.is_good:
            cells = ["-"] * len(sets)
            table.add_row(Text(name).append(_warning(client.reason or "")), *cells)
        else:
            table.add_row(name, *_cells(result, name, sets))
    table.add_section()
    others = [name for name in result.evaluation if name not in (*result.clients, GLOBAL)]
    for name in (GLOBAL, *others):
        if name in result.evaluation or result.is_complete:
            title = Text(name, "bold" if name == GLOBAL else "")
            table.add_row(title, *_cells(result, name, sets))
    return table


def remarks(result: Result) -> list[str]:
    """Lines to print below the result table."""
    lines = [] if result.scored_sets() else ["nothing was scored: no set has labels"]
    if result.unstable_classes:
        lines.append(f"clients disagree most on: {', '.join(result.unstable_classes)}")
    return lines


def stage_table(stages: "list[Cost]") -> Table:
    """What each stage of a simulation takes."""
    table = Table("stage", caption="estimated for this machine", show_footer=True)
    table.columns[0].footer = "in all"
    total = sum(stage.seconds for stage in stages)
    kept = sum(stage.disk for stage in stages if not stage.is_temporary)
    passing = sum(stage.disk for stage in stages if stage.is_temporary)
    table.add_column("time", format_duration(total), justify="right")
    table.add_column("memory", format_bytes(max(stage.memory for stage in stages)), justify="right")
    table.add_column("disk", format_bytes(kept), justify="right")
    table.add_column("disk, for a time", format_bytes(passing), justify="right")
    for stage in stages:
        disk = format_bytes(stage.disk) if stage.disk else "-"
        cells = ("-", disk) if stage.is_temporary else (disk, "-")
        table.add_row(
            stage.name,
            format_duration(stage.seconds) if stage.seconds else "-",
            format_bytes(stage.memory) if stage.memory else "-",
            *cells,
        )
    return table


def cache_table(parts: list[Part]) -> Table:
    """A row for each folder of the cache."""
    table = Table("folder", caption="runs are kept when the cache is cleared")
    table.add_column("files", justify="right")
    table.add_column("size", justify="right")
    for part in parts:
        table.add_row(part.path.name, str(part.files), format_bytes(part.bytes))
    return table


def _warning(text: str) -> Text:
    """A line below another, in red; part of it comes from others."""
    return Text(f"\n{plain(text, 500)}", "red")


def _cells(result: Result, model: str, sets: list[str]) -> list[str]:
    row = result.evaluation.get(model, {})
    return [
        f"{format_percent(row[s].miou)} ({len(row[s].miou_classes)})" if s in row else "-"
        for s in sets
    ]


def rich_table(scores: ScoreTable) -> Table:
    """A table of models by datasets; the best of each column is bold."""
    table = Table("model", caption=scores.caption)
    for name in scores.headings():
        table.add_column(name, justify="right")
    for name, *cells in scores.body(lambda text: f"{BOLD}{text}{BOLD}"):
        table.add_row(name, *map(_styled, cells))
    return table


def _styled(text: str) -> Text:
    """A cell with its marked part in bold."""
    before, *marked = text.split(BOLD)
    return Text.assemble(before, (marked[0], "bold"), marked[1]) if marked else Text(before)


def score_table(score: Score) -> Table:
    """Per-class IoU and mIoU of one evaluation, in percent."""
    table = Table(
        "class",
        title=f"{score.dataset}, {score.split}: {score.images} images",
        caption=f"mean over {len(score.miou_classes)} of {len(score.classes)} classes",
    )
    table.add_column("IoU %", justify="right")
    for name, value in score.iou.items():
        table.add_row(name, format_percent(value))
    table.add_section()
    for title, value in (
        ("mIoU", score.miou),
        (f"mIoU of SYNTHIA's {len(score.miou_16_classes)}", score.miou_16),
        ("frequency-weighted IoU", score.frequency_weighted_iou),
        ("pixel accuracy", score.pixel_accuracy),
    ):
        if title == "mIoU" or value is not None:
            table.add_row(Text(title, "bold"), Text(format_percent(value), "bold"))
    return table


def audit_table(entries: list[dict[str, Any]]) -> Table:
    """An audit log, a row for each line."""
    table = Table("time", "event", "details")
    for entry in entries:
        details = {k: v for k, v in entry.items() if k not in ("time", "event", "previous", "hash")}
        shown = "\n".join(f"{plain(k)}: {plain(v)}" for k, v in details.items() if v is not None)
        table.add_row(plain(entry["time"]), plain(entry["event"]), shown)
    return table
