import re
import time

import numpy as np
import pytest

from fedseg.classes import CLASSES
from fedseg.data.cards import UNKNOWN, card_names, load_card
from fedseg.data.label_map import LabelMap
from fedseg.errors import FedsegError


@pytest.mark.parametrize("name", card_names())
def test_every_card_that_comes_with_fedseg_is_valid(name):
    card = load_card(name)
    assert card.name == name
    mapped = LabelMap(card)
    assert (mapped.membership is None) == (not card.is_coarse)
    if mapped.membership is not None:
        assert mapped.membership.sum(axis=0).max() == 1  # none of ours counts twice


def test_camvid_by_hand():
    # SegNet's label file: 0 sky, 3 road, 8 car, 11 void; a truck counts as a car.
    card = load_card("camvid")
    table = card.id_table
    assert [card.classes[table[i]].name for i in (0, 3, 8)] == ["sky", "road", "car"]
    assert table[11] == 255
    assert table[12] == UNKNOWN
    probabilities = np.zeros(19)
    probabilities[CLASSES.index("car")], probabilities[CLASSES.index("truck")] = 0.3, 0.25
    probabilities[CLASSES.index("building")] = 0.45
    summed = LabelMap(card).membership @ probabilities
    assert card.classes[summed.argmax()].name == "car"
    with pytest.raises(FedsegError, match="not trained on"):
        LabelMap(card).train_ids()


def test_default_classes_are_train_ids():
    card = load_card("folder")
    assert np.array_equal(card.id_table[:19], np.arange(19))
    assert np.array_equal(LabelMap(card).train_ids()[:19], np.arange(19))


def test_splits():
    assert load_card("folder").split(None) == "all"
    with pytest.raises(FedsegError, match="no split chosen; the card has train, val, test"):
        load_card("camvid").split(None)
    with pytest.raises(FedsegError, match="no split 'vall'; did you mean 'val'"):
        load_card("camvid").split("vall")


def test_unknown_card():
    with pytest.raises(FedsegError, match="no dataset card 'canvid'; did you mean 'camvid'"):
        load_card("canvid")


def test_a_card_of_ones_own_is_checked(tmp_path):
    path = tmp_path / "mine.toml"
    head = 'name="mine"\ntitle="Mine"\nkind="real"\nimages=["*.png"]\nlabels="*.png"\n'
    path.write_text(head + "[splits.all]\n[[classes]]\nname='a'\nids=[1]\nmembers=['rode']\n")
    with pytest.raises(FedsegError, match="no class 'rode'; did you mean 'road'"):
        LabelMap(load_card(str(path)))
    path = tmp_path / "twice.toml"
    path.write_text(head + "[splits.all]\n[[classes]]\nname='a'\nids=[255]\nmembers=['road']\n")
    with pytest.raises(FedsegError, match="listed twice"):
        load_card(str(path))
    path = tmp_path / "misspelt.toml"
    path.write_text(head + "[splits.all]\ncuont=3\n")
    with pytest.raises(FedsegError, match="did you mean 'count'"):
        load_card(str(path))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("name='road'", "class 'road': list its ids, colours or names"),
        ("name='road'\nids=[1]\nmembers=[]", "list its members, or leave `members` out"),
        ("name='road'\nids=[1]\nidz=[2]", "unknown key 'classes.road.idz'; did you mean 'ids'"),
        ("name='road'\nids=[70000]", "whole numbers from 0 to 65535"),
        ("name='road'\ncolours=[[0,0,256]]", "whole numbers from 0 to 255"),
        (
            "name='road'\nids=[1]\n[[classes]]\nname='lane'\nids=[2]\nmembers=['road']",
            "'road' is a member of two; make them one class",
        ),
        (
            "name='road'\ncolours=[[1,2,3]]\n[[classes]]\nname='car'\ncolours=[[1,2,3]]",
            r"listed twice in colours: \(1, 2, 3\)",
        ),
    ],
)
def test_mistakes_in_a_cards_classes(tmp_path, classes, expected):
    path = tmp_path / "mine.toml"
    head = 'name="mine"\ntitle="Mine"\nkind="real"\nimages="*.jpg"\nlabels="*.png"\n'
    path.write_text(f"{head}[splits.all]\n[[classes]]\n{classes}\n")
    load_card.cache_clear()
    with pytest.raises(FedsegError, match=expected):
        load_card(str(path))


def test_a_label_pattern_cannot_have_more_stars_than_the_images(tmp_path):
    path = tmp_path / "mine.toml"
    head = 'name="mine"\ntitle="Mine"\nkind="real"\nimages="*.jpg"\nlabels="*/*.png"\n'
    path.write_text(f"{head}[splits.all]\n")
    with pytest.raises(FedsegError, match="a label pattern has more"):
        load_card(str(path))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "a pattern is empty"),
        ("  ", "a pattern is empty"),
        ("**/*.png", "write a `*` for each folder"),
        ("images/?.png", "`?` is not known"),
        ("images/[ab].png", "`[` is not known"),
        ("./images/*.png", "empty part"),
        ("images//*.png", "empty part"),
        ("../images/*.png", "empty part"),
        ("images/../*.png", "empty part"),
        ("/data/*.png", "must be relative"),
        ("~/data/*.png", "must be relative"),
        ("C:/data/*.png", "must be relative"),
        ("images\\\\*.png", "write `/` between folders"),
        ("images/", "empty part"),
        ("images/*", "must end in a suffix"),
        ("images/*.", "must end in a suffix"),
        ("{Split}/*.png", "'{Split}' is not known"),
        ("{split/*.png", "is not known"),
        ("split}/*.png", "is not known"),
    ],
)
@pytest.mark.parametrize("field", ["images", "labels"])
def test_patterns_are_checked_when_the_card_is_read(tmp_path, pattern, why, field):
    path = tmp_path / "mine.toml"
    other = "labels" if field == "images" else "images"
    path.write_text(
        f'name="mine"\ntitle="Mine"\nkind="real"\n{field}="{pattern}"\n{other}="*.png"\n[splits.all]\n'
    )
    with pytest.raises(FedsegError, match=re.escape(why)) as error:
        load_card(str(path))
    assert f"{path}: {field}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_card_that_lists_every_id_is_read_in_bearable_time(tmp_path):
    path = tmp_path / "mine.toml"
    head = 'name="mine"\ntitle="Mine"\nkind="real"\nimages="*.jpg"\nlabels="*.png"\n[splits.all]\n'
    ids = ",".join(str(value) for value in range(65536) if value != 255)
    path.write_text(f"{head}[[classes]]\nname='road'\nids=[{ids}]\n")
    started = time.monotonic()
    assert load_card(str(path)).largest_id == 65535
    assert time.monotonic() - started < 5
