"""What a person sees on the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

console = Console()


def show(what: RenderableType) -> None:
    """Print a table or a line."""
    console.print(what)


def show_run(folder: Path) -> None:
    """Say where a run's results are."""
    show(f"run folder: {folder}")
    if (folder / "report.html").is_file():
        show(f"report: {folder / 'report.html'}")


class Bars:
    """Progress bars, one a name; plain lines, one a stage, where there is no terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[name]:<14}"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[details]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}
        self._stages: dict[str, str] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int, name: str = "", **details: float) -> None:
        """Show that `done` of `total` of a stage are done, for whom, and numbers beside it."""
        shown = " ".join(f"{key} {value:.3f}" for key, value in details.items())
        if self._stages.get(name) != stage:
            self._stages[name] = stage
            if not console.is_terminal:
                console.print(f"{name}: {stage}" if name else stage)
            if name in self._tasks:
                self._progress.remove_task(self._tasks[name])
            self._tasks[name] = self._progress.add_task(stage, name=name, details=shown)
        self._progress.update(self._tasks[name], completed=done, total=total, details=shown)


def score_table(score: dict[str, Any]) -> Table:
    """Per-class IoU and mIoU of one evaluation, in percent."""
    table = Table(
        "class",
        title=f"{score['dataset']}, {score['split']}: {score['images']} images",
        caption=f"mean over {len(score['miou_classes'])} of {len(score['classes'])} classes",
    )
    table.add_column("IoU %", justify="right")
    for name, value in score["iou"].items():
        table.add_row(name, _percent(value))
    table.add_section()
    for title, key in (
        ("mIoU", "miou"),
        (f"mIoU of SYNTHIA's {len(score['miou_16_classes'])}", "miou_16"),
        ("frequency-weighted IoU", "frequency_weighted_iou"),
        ("pixel accuracy", "pixel_accuracy"),
    ):
        if key == "miou" or score[key] is not None:
            table.add_row(f"[bold]{title}[/bold]", f"[bold]{_percent(score[key])}[/bold]")
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
