"""Tables of settings: what they refuse, and what differs between two."""

import pytest
from pydantic import ValidationError

from fedseg.settings import Section, differing_settings, with_settings

FILE = {
    "seed": 1,
    "training": {"iterations": 100, "crop": [64, 128]},
    "clients": [{"name": "metro"}, {"name": "suburb", "model": {"arch": "fpn"}}],
}


class Table(Section):
    switch: bool = False
    count: int = 1
    share: float | None = None
    text: str = ""


@pytest.mark.parametrize(
    "content",
    [
        {"switch": "yes"},
        {"switch": 1},
        {"count": True},
        {"share": False},
        {"count": 2**63},
        {"text": "a\0b"},
        {"share": float("nan")},
    ],
    ids=str,
)
def test_values_of_another_kind_are_not_converted(content):
    with pytest.raises(ValidationError):
        Table(**content)


def test_values_of_the_kind_are_taken():
    table = Table(switch=True, count=-(2**63) + 1, share=1, text="yes")
    assert (table.switch, table.share, table.text) == (True, 1.0, "yes")


def test_keys_that_differ():
    assert differing_settings(FILE, FILE) == []
    other = with_settings(FILE, ["seed=2", "clients.suburb.model.arch=unet", "out=5"])
    assert differing_settings(FILE, other) == ["clients.suburb.model.arch", "out", "seed"]
    assert differing_settings({"a": None, "b": {}}, {}) == []


def test_another_order_of_tables_is_a_difference():
    assert differing_settings(FILE, FILE | {"clients": FILE["clients"][::-1]}) == ["clients"]
    assert differing_settings({"a": None}, {"a": []}) == ["a"]
