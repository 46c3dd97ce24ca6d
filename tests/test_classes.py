"""Class lists."""

import numpy as np
import pytest

from fedseg.classes import CITYSCAPES, CLASSES, ClassList
from fedseg.config import Federation, Model, dump, load, parse
from fedseg.errors import FedsegError

LIST = {
    "names": ["road", "vehicle", "lane marking"],
    "members": {"vehicle": ["car", "bus"]},
    "scored": {"ground": ["road", "lane marking"], "vehicle": ["vehicle"]},
}


def test_the_default_is_cityscapes_and_stands_in_no_file(federation):
    assert federation.classes == CITYSCAPES
    assert federation.model.classes.names == CLASSES
    assert "\nclasses" not in dump(federation)
    assert "[classes]" not in dump(federation)
    assert "classes" not in Model().model_dump()


def test_a_list_is_handed_down_and_read_again(federation_data, tmp_path):
    federation = Federation.model_validate(federation_data | {"classes": LIST})
    models = [federation.model, *(client.model for client in federation.clients)]
    assert {model.classes.names for model in models} == {("road", "vehicle", "lane marking")}
    (tmp_path / "federation.toml").write_text(dump(federation))
    assert load(tmp_path / "federation.toml") == federation


def test_names_alone_are_a_list(federation_data):
    federation = Federation.model_validate(federation_data | {"classes": ["road", "else"]})
    assert federation.classes == ClassList(names=("road", "else"))


def test_colours_are_cityscapes_or_of_their_own():
    palette = ClassList(names=("sky", "lane marking", "crack")).palette
    assert palette[0].tolist() == [70, 130, 180]
    assert len({tuple(colour) for colour in palette.tolist()}) == 3
    assert palette[1].tolist() == [128, 0, 0]  # Pascal VOC's first, of the aeroplane
    assert palette[2].tolist() == [0, 128, 0]


def test_255_classes_have_255_colours_beside_cityscapes():
    names = (*CLASSES, *(f"class {n}" for n in range(255 - len(CLASSES))))
    table = ClassList(names=names).colour_table()
    assert len(np.unique(table, axis=0)) == 256  # black stands for what is ignored
    assert not table[255].any()


def test_256_classes_are_refused_in_a_short_line(federation_data, tmp_path):
    names = [f"class {n}" for n in range(256)]
    with pytest.raises(FedsegError, match=r"'classes\.names': 256 entries, at most 255") as error:
        parse(Federation, federation_data | {"classes": names}, tmp_path / "f.toml")
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": ["road", "road"]}, "'road' is given twice"),
        ({"names": ["road"]}, "a list of at least 2 "),
        ({"names": ["road", " sky"]}, "begins or ends with a space"),
        ({"colours": [[1, 2, 3]]}, "1 for 3 names"),
        ({"colours": [[1, 2, 3]] * 3}, "given twice"),
        ({"members": {"vehicel": ["car"]}}, "'vehicel' is none of the names"),
        ({"members": {"vehicle": ["car", "road"]}}, "'road' is given twice"),
        ({"scored": {"a": ["car"], "b": ["road"]}}, "'car' is none of the names"),
        ({"scored": {"a": ["road"], "b": ["road"]}}, "'road' is given twice"),
        ({"scored": {"a": ["road"], "b": []}}, "no class"),
        ({"colors": []}, "colours"),
    ],
)
def test_mistakes_are_one_line(federation_data, tmp_path, change, reason):
    with pytest.raises(FedsegError, match=reason) as error:
        parse(Federation, federation_data | {"classes": LIST | change}, tmp_path / "f.toml")
    assert "\n" not in str(error.value)


def test_a_client_has_no_list_of_its_own(federation_data, tmp_path):
    federation_data["clients"][0]["model"] = {"classes": ["a", "b"]}
    with pytest.raises(FedsegError, match=r"write them as \[classes\]"):
        parse(Federation, federation_data, tmp_path / "f.toml")
