"""Typed contents of JSON files."""

import pytest

from fedseg.files import DamagedFile, write_json
from fedseg.storage.provenance import write_product
from fedseg.storage.records import Document, Product


class Count(Document):
    number: int


class Made(Product):
    number: int


def test_what_was_written_is_read(tmp_path):
    Count(number=3).write(tmp_path / "a.json")
    assert Count.read(tmp_path / "a.json") == Count(number=3)


def test_other_content_is_named_by_file_and_field(tmp_path):
    write_json(tmp_path / "a.json", {"number": "many"})
    with pytest.raises(DamagedFile, match=r"a\.json: damaged \(number: "):
        Count.read(tmp_path / "a.json")


def test_a_product_is_read_only_if_it_was_made_from_these_inputs(tmp_path):
    path = tmp_path / "a.json"
    Made(number=3).write(path, {"seed": 1})
    assert Made.read(path) == Made(number=3)
    assert Made.read_if_made_from(path, {"seed": 1}) == Made(number=3)
    assert Made.read_if_made_from(path, {"seed": 2}) is None


def test_a_product_of_another_shape_is_made_again_with_a_notice(tmp_path, caplog):
    path = tmp_path / "a.json"
    write_product(path, {"number": "many"}, {"seed": 1})
    assert Made.read_if_made_from(path, {"seed": 1}) is None
    assert "making it again" in caplog.text
