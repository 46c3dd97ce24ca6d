"""Names in class lists, against the classes of cards."""

import pytest

from fedseg.classes import ClassList
from fedseg.config import Federation
from fedseg.data.cards import load_card
from fedseg.data.class_names import check_class_names, unknown_names, untrained_classes
from fedseg.errors import FedsegError

CARD = """
name = "mine"
title = "Mine"
kind = "synthetic"
images = "images/*.png"
labels = "labels/*.png"
[splits.all]
[[classes]]
name = "asphalt"
ids = [0]
members = ["drivable"]
[[classes]]
name = "lane marking"
ids = [1]
"""


def unknown(names, members=None, cards=("folder",), **others):
    classes = ClassList(names=names, members=members or {})
    return unknown_names(classes, [load_card(card) for card in cards], **others)


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.toml").write_text(CARD)
    return str(tmp_path / "mine.toml")


def test_misspelt_names_and_members_are_named_with_the_nearest():
    members = {"drivable": ["road", "parkin"], "vehicle": ["car", "trukc"]}
    found = unknown(["drivable", "vehicle", "persn"], members)
    assert found == (
        "'parkin' in 'drivable' (did you mean 'parking'?), "
        "'trukc' in 'vehicle' (did you mean 'truck'?), 'persn' (did you mean 'person'?)"
    )


def test_a_name_with_members_is_free_and_one_without_is_a_class_of_a_card():
    assert not unknown(["anything", "sky"], {"anything": ["car"]})
    assert unknown(["anything", "sky"]).startswith("'anything' (known: ")
    assert unknown(["anything", "sky"], {"anything": []}).startswith("'anything' (known: ")


def test_labels_of_cityscapes_are_known_though_no_card_here_has_them():
    assert not unknown(["drivable", "train"], {"drivable": ["road", "parking"]}, ["synthia"])


def test_names_of_an_own_card_are_known(mine):
    assert not unknown(["drivable", "lane marking"], cards=[mine])
    found = unknown(["drivable", "lane markings"], cards=[mine])
    assert found.startswith("'lane markings' (did you mean 'lane marking'")
    assert unknown(["asphalt", "sky"], cards=[mine]) == (
        "'asphalt' (the card 'mine' calls drivable so)"
    )
    assert not unknown(["drivable", "lane marking"], others={"drivable", "lane marking"})


def test_of_many_unknown_names_some_are_listed():
    found = unknown([f"thing {n}" for n in range(255)])
    assert found.count("'thing ") == 5
    assert found.endswith("and 250 more")


def with_classes(data, classes):
    return Federation.model_validate(data | {"classes": classes})


def test_cards_of_evaluation_sets_count(federation_data, mine):
    classes = {"names": ["ground", "sky"], "members": {"ground": ["road", "drivable"]}}
    with pytest.raises(FedsegError, match=r"^classes: no dataset card .* 'drivable' in 'ground'"):
        check_class_names(with_classes(federation_data, classes))
    federation_data["evaluation"][0]["dataset"] = mine
    check_class_names(with_classes(federation_data, classes))


def test_where_a_card_is_not_known_here_nothing_is_an_error(federation_data):
    federation_data["clients"][0] = {"name": "one"}
    check_class_names(with_classes(federation_data, ["drivabel", "sky"]))


def test_classes_without_a_pixel_are_named():
    classes = ClassList(names=("road", "sky", "lane marking"))
    assert untrained_classes(classes, [3, 1, 1]) == ""
    assert "2 of the 3 classes: road, lane marking;" in untrained_classes(classes, [0, 9, 0])
    many = ClassList(names=tuple(f"thing {n}" for n in range(150)))
    assert "thing 19 and 130 more;" in untrained_classes(many, [0] * 150)
