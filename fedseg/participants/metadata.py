"""Reading the metadata of an upload. Needs no torch."""

from pydantic import ValidationError

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.errors import FedsegError
from fedseg.run.uploads import Upload


def parse_upload(text: str, expected: str | None = None, classes: ClassList = CITYSCAPES) -> Upload:
    """Read a client's metadata; of the client that is expected, where one is.

    Raises:
        FedsegError: it is malformed, or speaks for another client than the one asked.
    """
    try:
        upload = Upload.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FedsegError(f"malformed metadata: {where}: {first['msg']}") from None
    if expected is not None and upload.name != expected:
        raise FedsegError(f"answered in the name of '{upload.name}'")
    info = upload.info
    if info.classes != classes:
        raise FedsegError("its classes are not those of the federation")
    if not info.coverage or not set(info.coverage) <= set(range(len(classes))):
        raise FedsegError(
            f"its class coverage is empty or not made of trainIds 0..{len(classes) - 1}"
        )
    counts = upload.pixel_counts
    if counts is not None and (len(counts) != len(classes) or min(counts) < 0):
        raise FedsegError(f"pixel_counts must be {len(classes)} numbers, none negative")
    return upload
