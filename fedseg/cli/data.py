"""The commands about datasets: `fedseg data ...`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedseg.cli.options import CardName, Json, Quiet, Root, SomeCard, Split
from fedseg.errors import FedsegError

Classes = Annotated[
    Path | None,
    typer.Option(help="Federation file whose [classes] labels become; default: Cityscapes' 19."),
]

if TYPE_CHECKING:
    from rich.table import Table

    from fedseg.data.cards import Card
    from fedseg.data.check import Report

data = typer.Typer(
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
    root: Root,
    split: Annotated[
        str | None, typer.Option(help="Split of the card; default: every one that is there.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Open every file, not a sample of 50 images.")
    ] = False,
    classes: Classes = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find a dataset's images and labels, open some, and tell everything that is wrong.

    Exit status 2 if anything is.

    Example: `fedseg data check camvid /data/CamVid --split val`
    """
    from fedseg.cli import console
    from fedseg.config import read_classes
    from fedseg.data.cards import load_card
    from fedseg.data.check import check as check_files
    from fedseg.data.label_map import LabelMap

    described = load_card(card)
    LabelMap(described, read_classes(classes))  # a card of other classes is refused here
    with console.Bars() as bars:
        report = check_files(described, root, split, everything, partial(bars, "checking"))
    console.answer(json, _record(described, report), _histogram(described, report))
    if not json:
        for line in [*(f"note: {note}" for note in report.notes), *report.problems]:
            console.show_line(line)
        if not report.problems:
            console.show_line("nothing wrong")
    if report.problems:
        count = len(report.problems)
        raise FedsegError(f"{root}: {count} problem{'s' if count > 1 else ''}, listed above")


@data.command()
def show(
    card: CardName,
    out: Annotated[Path, typer.Option(help="Image file to write.")],
    root: Annotated[
        Path | None, typer.Argument(help="Folder of the dataset; none for embedded data.")
    ] = None,
    split: Split = None,
    classes: Classes = None,
) -> None:
    """Write a contact sheet: a few images, their labels in the classes' colours, and both at once.

    Example: `fedseg data show camvid /data/CamVid --split val --out camvid.jpg`
    """
    from fedseg.cli import console
    from fedseg.config import Source, read_classes
    from fedseg.data.cards import load_card
    from fedseg.data.dataset import open_dataset
    from fedseg.data.sheet import check_sheet, write_sheet

    described = load_card(card)
    chosen = described.split(split)
    source = Source(dataset=card, root=root, split=chosen)
    class_list = read_classes(classes)
    check_sheet(out)
    with console.Bars() as bars:
        rendering = partial(bars, "rendering data")
        dataset = open_dataset(source, described.splits[chosen].labelled, rendering)
    rows = write_sheet(dataset, out, classes=class_list)
    console.show(f"{rows} of {len(dataset)} images shown in {out}")


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


def _histogram(card: "Card", report: "Report") -> "Table":
    """Images found by split, and the share of each class in the labels that were opened."""
    from rich.table import Table

    found = ", ".join(f"{name} {count}" for name, count in report.found.items() if count)
    table = Table("class", title=f"{card.name}: {found}", caption=f"{report.opened} images opened")
    table.add_column("pixels", justify="right")
    table.add_column("%", justify="right")
    total = max(1, report.pixels.sum())
    for name, count in _pixels(card, report).items():
        table.add_row(name, f"{count}", f"{100 * count / total:.2f}" if count else "-")
    return table


def _pixels(card: "Card", report: "Report") -> dict[str, int]:
    """Pixels of each class, and last those ignored, in the labels that were opened."""
    names = [*(entry.name for entry in card.classes), "ignored"]
    return dict(zip(names, map(int, report.pixels), strict=True))


def _record(card: "Card", report: "Report") -> dict[str, Any]:
    """A report for JSON."""
    return {
        "card": card.name,
        "found": report.found,
        "opened": report.opened,
        "pixels": _pixels(card, report),
        "problems": report.problems,
        "notes": report.notes,
    }
