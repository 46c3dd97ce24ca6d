"""Cards' classes in class lists, against maps written by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.data.cards import Card, load_card
from fedseg.data.label_map import LabelMap
from fedseg.errors import FedsegError

FIVE = ClassList(
    names=("drivable", "vehicle", "nature", "sky", "lane marking"),
    members={
        "drivable": ("road", "parking"),
        "vehicle": ("car", "truck", "bus"),
        "nature": ("vegetation", "terrain"),
    },
)


def card_of(*classes: dict) -> Card:
    return Card(
        name="mine",
        title="Mine",
        kind="synthetic",
        images="i/*.png",
        labels="l/*.png",
        splits={"all": {}},
        classes=[{"ids": (index,)} | entry for index, entry in enumerate(classes)],
    )


def test_cityscapes_cards_become_other_classes():
    mapped = LabelMap(load_card("folder"), FIVE)
    expected = {0: 0, 8: 2, 9: 2, 10: 3, 13: 1, 14: 1, 15: 1}
    table = mapped.train_ids()
    assert {i: int(table[i]) for i in range(256) if table[i] != 255} == expected
    assert np.array_equal(mapped.scored_ids(), table)
    assert mapped.names == list(FIVE.names)
    assert mapped.membership is None


def test_a_card_of_own_names():
    card = card_of(
        {"name": "parking"}, {"name": "paint", "members": ("lane marking",)}, {"name": "person"}
    )
    assert LabelMap(card, FIVE).train_ids()[:3].tolist() == [0, 4, 255]


def test_what_is_in_part_outside_of_the_list_is_ignored():
    # CamVid's "bicyclist" is a rider or a bicycle; its "car" a car, truck, bus, ...
    card = card_of(
        {"name": "wheels", "members": ("car", "bicycle")}, {"name": "sky"}, {"name": "road"}
    )
    mapped = LabelMap(card, FIVE)
    assert mapped.train_ids()[:3].tolist() == [255, 3, 0]
    assert mapped.membership is None


def test_coarser_cards_are_scored_over_their_classes():
    card = card_of(
        {"name": "ground", "members": ("road", "vegetation")},
        {"name": "car"},
        {"name": "truck"},
        {"name": "sky"},
        {"name": "person"},
    )
    mapped = LabelMap(card, FIVE)
    with pytest.raises(FedsegError, match="coarser than the 5 classes"):
        mapped.train_ids()
    assert mapped.names == ["ground", "vehicle", "sky"]
    assert mapped.scored_ids()[:5].tolist() == [0, 1, 1, 2, 255]
    assert mapped.membership.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]
    assert mapped.colours()[:3].tolist() == FIVE.palette[[0, 1, 3]].tolist()


def test_overlapping_classes_are_scored_as_one():
    card = card_of({"name": "moving", "members": ("car", "sky")}, {"name": "bus"}, {"name": "road"})
    mapped = LabelMap(card, FIVE)
    assert mapped.names == ["moving, bus", "road"]
    assert mapped.scored_ids()[:3].tolist() == [0, 0, 1]
    assert mapped.membership.sum(axis=0).tolist() == [1, 1, 0, 1, 0]


def test_a_coarser_scored_set():
    groups = {"ground": ("drivable", "lane marking", "nature"), "rest": ("vehicle", "sky")}
    classes = FIVE.model_copy(update={"scored": groups})
    card = card_of(
        {"name": "road"},
        {"name": "terrain"},
        {"name": "car"},
        {"name": "mix", "members": ("bus", "vegetation")},
    )
    mapped = LabelMap(card, classes)
    assert mapped.names == ["ground", "rest"]
    assert mapped.scored_ids()[:4].tolist() == [0, 0, 1, 255]
    assert mapped.membership.tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]


def test_cards_that_do_not_fit_a_list_are_refused():
    with pytest.raises(FedsegError, match="none of its classes is one of the class list"):
        LabelMap(card_of({"name": "person"}), FIVE)
    with pytest.raises(FedsegError, match="no class 'vehicel'; did you mean 'vehicle'"):
        LabelMap(card_of({"name": "vehicel"}, {"name": "sky"}), FIVE)
    with pytest.raises(FedsegError, match="no class 'lane marking'"):
        LabelMap(card_of({"name": "lane marking"}, {"name": "sky"}), CITYSCAPES)


def test_the_command_takes_a_list(run_cli, make_world, tmp_path):
    root = make_world("world")
    card = tmp_path / "mine.toml"
    card.write_text(
        'name = "mine"\ntitle = "Mine"\nkind = "synthetic"\nimages = "images/*.png"\n'
        'labels = "labels/*.png"\nignore_ids = [2, 8, 10, 13]\n[splits.all]\n'
        '[[classes]]\nname = "lane marking"\nids = [0]\n'
    )
    done = run_cli("data", "check", card, root)
    assert done.returncode == 2
    assert "no class 'lane marking'" in done.err
    federation = tmp_path / "federation.toml"
    federation.write_text('[classes]\nnames = ["lane marking", "sky"]\n')
    sheet = tmp_path / "sheet.png"
    options = ["--classes", federation, "--sheet", sheet]
    assert run_cli("data", "check", card, root, *options).returncode == 0
    assert sheet.is_file()


def test_the_command_shows_what_each_class_becomes(run_cli, make_world, tmp_path):
    """The stripes of the world are counted here, in its label files."""
    root = make_world("world", classes=(0, 8, 13, 14))
    labels = np.stack([np.asarray(Image.open(path)) for path in (root / "labels").iterdir()])
    lists = tmp_path / "list.toml"
    lists.write_text(
        'names = ["drivable", "vehicle", "sky", "lane markin"]\n'
        'members = { drivable = ["road"], vehicle = ["car", "truck"] }\n'
    )
    options = ["folder", root, "--classes", lists]
    done = run_cli("data", "check", *options)
    assert done.returncode == 0, done.err
    expected = [
        [name, becomes, str((labels == train_id).sum())]
        for name, becomes, train_id in (
            ("road", "drivable", 0),
            ("vegetation", "ignored", 8),
            ("sky", "sky", 10),
            ("car", "vehicle", 13),
            ("truck", "vehicle", 14),
            ("-", "lane markin", 99),
        )
    ]
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in done.out.splitlines()]
    assert all(row in rows for row in expected)
    assert "note: neither this card nor Cityscapes has 'lane markin'" in done.out
    report = json.loads(run_cli("data", "check", *options, "--json").out)
    assert report["becomes"]["truck"] == ["vehicle"]
    assert report["becomes"]["person"] == []
