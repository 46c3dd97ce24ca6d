"""The commands about datasets: `fedseg data ...`."""

from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedseg.cli.options import (
    CardName,
    Commands,
    Json,
    Quiet,
    SomeCard,
    SomeRoot,
    complete_split,
)
from fedseg.errors import FedsegError

Classes = Annotated[
    Path | None,
    typer.Option(
        help="File of a federation, or of a class list alone, whose classes the labels become; "
        "default: Cityscapes' 19."
    ),
]

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from fedseg.data.cards import Card
    from fedseg.data.check import Report
    from fedseg.data.label_map import LabelMap

data = typer.Typer(
    cls=Commands,
    help="""Datasets: which there are, and whether yours is whole.

    Example: `fedseg data check gta5 /data/GTA5`""",
    no_args_is_help=True,
)


@data.command("list")
def list_cards(
    card: SomeCard = None,
    json: Json = False,
) -> None:
    """List the datasets that fedseg can read, or tell how to get one and lay it out.

    Example: `fedseg data list cityscapes`
    """
    from fedseg.cli import console
    from fedseg.data.cards import card_names, load_card

    cards = [load_card(name) for name in ([card] if card else card_names())]
    notify = [described.model_dump(mode="json") for described in cards]
    if card:
        console.answer(json, notify[0], _details(cards[0]))
    else:
        console.answer(json, notify, _overview(cards))


@data.command()
def check(
    card: CardName,
    root: SomeRoot = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of the card; default: every one that is there.",
            autocompletion=complete_split,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Open every file, not a sample of 50 images.")
    ] = False,
    classes: Classes = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Image file to write: a few images, their labels in colours, and both."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find a dataset's images and labels, open some, and tell everything that is wrong.

    Exit status 2 if anything is. A sheet shows one split.

    Example: `fedseg data check camvid /data/CamVid --split val`
    """
    from fedseg.cli import console
    from fedseg.config import read_classes
    from fedseg.data.check import check as check_files
    from fedseg.data.class_names import unknown_names
    from fedseg.data.dataset import open_dataset
    from fedseg.data.label_map import LabelMap
    from fedseg.data.own_datasets import is_own, located_source, source_card, written_root
    from fedseg.data.sheet import check_sheet, write_sheet

    source = located_source(card, root, split)
    described, class_list = source_card(source), read_classes(classes)
    mapped = LabelMap(described, class_list)  # a card of other classes is refused here
    if sheet:
        split = described.split(split)
        check_sheet(sheet)
    folder = root
    with console.Bars() as bars:
        if is_own(source.dataset):
            is_labelled = all(part.labelled for part in described.splits.values())
            folder = written_root(source, is_labelled, bars, "reading data")
        report = check_files(described, folder, split, everything, bars)
    if unknown := unknown_names(class_list, [described]):
        report.notes.append(f"neither this card nor Cityscapes has {unknown} of the class list")
    becomes = _becomes(mapped, class_list.names) if classes else None
    pixels, record = _pixels(described, report.pixels), _record(described, report)
    if becomes is not None:
        names = [name for name, _ in pixels]
        record["becomes"] = dict(zip(names, becomes, strict=False))
    found = ", ".join(f"{name} {count}" for name, count in report.found.items() if count)
    title = f"{described.name}: {found}"
    table = _class_table(pixels, becomes, title, f"{report.opened} images opened")
    console.answer(json, record, table)
    if not json:
        for line in [*(f"note: {note}" for note in report.notes), *report.problems]:
            console.show_line(line)
        if not report.problems:
            console.show_line("nothing wrong")
    if sheet and split and not report.problems:
        dataset = open_dataset(source, described.splits[split].labelled)
        rows = write_sheet(dataset, sheet, classes=class_list)
        if not json:
            console.show(f"{rows} of {len(dataset)} images shown in {sheet}")
    if report.problems:
        count = len(report.problems)
        raise FedsegError(
            f"{root or card}: {count} problem{'s' if count > 1 else ''}, listed above"
        )


@data.command()
def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all that is made again when it is needed.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what fedseg's cache holds, or clear it.

    It holds rendered images, and surveys and hashes of datasets.

    Example: `fedseg data cache`
    """
    from fedseg.cli import console
    from fedseg.cli.tables import cache_table
    from fedseg.files import cache_dir
    from fedseg.storage.cache import cache_parts, clear_cache

    parts = clear_cache() if clear else cache_parts()
    content = [{"folder": str(p.path), "files": p.files, "bytes": p.bytes} for p in parts]
    notify = f"removed from {cache_dir()}" if clear else f"cache: {cache_dir()}"
    console.answer(json, content, cache_table(parts), notify)


def _overview(cards: "list[Card]") -> "Table":
    from rich.table import Table

    table = Table()
    for name in ("card", "kind", "classes", "size", "licence"):
        no_wrap = name == "card"  # to be typed as it is shown
        table.add_column(name, no_wrap=no_wrap, overflow="fold")
    for card in cards:
        table.add_row(card.name, card.kind, _classes(card), card.size, card.licence)
    return table


def _details(card: "Card") -> "Table":
    from rich.table import Table

    table = Table(show_header=False, title=card.title)
    notify = {
        "card": card.name,
        "kind": card.kind,
        "home": card.home,
        "licence": card.licence,
        "size": card.size,
        "how to get it": card.get,
        "layout": card.layout,
        "splits": ", ".join(
            name + (f" ({part.count})" if part.count else "") + (" *" * (not part.labelled))
            for name, part in card.splits.items()
        )
        + (" (* no labels)" if not all(p.labelled for p in card.splits.values()) else ""),
        "classes": f"{_classes(card)}: " + ", ".join(entry.name for entry in card.classes),
    }
    for key, value in notify.items():
        if value:
            table.add_row(key, value)
    return table


def _classes(card: "Card") -> str:
    """How many classes of a class list a card names, and how many groups of them."""
    groups = sum(len(entry.members) > 1 for entry in card.classes)
    single = len(card.classes) - groups
    return f"{single} + {groups} group{'s' if groups > 1 else ''}" if groups else str(single)


def _becomes(mapped: "LabelMap", names: Iterable[str]) -> list[list[str]]:
    """Names in a class list of what each of a card's classes becomes.

    After these stands nothing, for the pixels that the card ignores, and then each class of the
    list that no class of the card becomes.
    """
    found = [list(members) for members in mapped.members()]
    taken = {name for members in found for name in members}
    return [*found, [], *([name] for name in names if name not in taken)]


def _class_table(
    pixels: list[tuple[str, int]], becomes: list[list[str]] | None, title: str, caption: str
) -> "Table":
    """The share of each of a card's classes in some labels; with what `_becomes` gives, if any."""
    from rich.table import Table

    table = Table("class", title=title, caption=caption)
    if becomes is not None:
        table.add_column("class of the list")
    table.add_column("pixels", justify="right")
    table.add_column("%", justify="right")
    total = max(1, sum(count for _, count in pixels))
    rows = [(name, f"{n}", f"{100 * n / total:.2f}" if n else "-") for name, n in pixels]
    for (name, *numbers), found in zip_longest(rows, becomes or (), fillvalue=("-", "0", "-")):
        to = [] if becomes is None else [", ".join(found) or "ignored"]
        table.add_row(name, *to, *numbers)
    return table


def _pixels(card: "Card", counts: "np.ndarray") -> list[tuple[str, int]]:
    """Pixels of each class, and last those ignored."""
    names = [*(entry.name for entry in card.classes), "ignored"]
    return list(zip(names, map(int, counts), strict=True))


def _record(card: "Card", report: "Report") -> dict[str, Any]:
    """A report for JSON."""
    return {
        "card": card.name,
        "found": report.found,
        "opened": report.opened,
        "pixels": dict(_pixels(card, report.pixels)),
        "problems": report.problems,
        "notes": report.notes,
    }
