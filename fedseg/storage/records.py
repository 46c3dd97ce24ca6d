"""Typed contents of JSON files: what was written is checked again when it is read."""

from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fedseg.files import DamagedFile, damaged_file, read_json, write_json
from fedseg.storage.provenance import (
    Inputs,
    note_damage,
    open_product,
    read_product,
    write_product,
)

Model = TypeVar("Model", bound=BaseModel)


def parse_record(kind: type[Model], content: object, path: Path) -> Model:
    """The content of a file that this machine wrote, as a model.

    Raises:
        DamagedFile: it is no such model.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise damaged_file(path, f"{where}: missing or of another kind") from None


class Record(BaseModel):
    """Content of a JSON file, or a part of it."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    def content(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def parse(cls, content: object, path: Path) -> Self:
        """Make a record of the content of a file.

        Raises:
            DamagedFile: it is not such a record.
        """
        return parse_record(cls, content, path)


class Document(Record):
    """Content of a JSON file that does not say what it was made from."""

    def write(self, path: Path) -> None:
        """Write it, atomically."""
        write_json(path, self.content())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JSON file.

        Raises:
            DamagedFile: it is not such a record.
        """
        return cls.parse(read_json(path), path)


class Product(Record):
    """Content of a JSON file that also says what it was made from (see `provenance`)."""

    def write(self, path: Path, inputs: Inputs) -> None:
        """Write it, atomically, with what it was made from."""
        write_product(path, self.content(), inputs)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a product, whatever it was made from.

        Raises:
            DamagedFile: it is not such a record, or not what was written.
        """
        return cls.parse(open_product(path)[0], path)

    @classmethod
    def read_if_made_from(cls, path: Path, inputs: Inputs) -> Self | None:
        """Read a product; None if it has to be made (again), see `provenance.read_product`."""
        content = read_product(path, inputs)
        if content is None:
            return None
        try:
            return cls.parse(content, path)
        except DamagedFile as error:
            note_damage(error)
            return None
