"""Reading the metadata of an upload. Needs no torch."""

import json

from pydantic import ValidationError

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config import explain
from fedseg.errors import FedsegError, why_unreadable
from fedseg.models.info import MOST_METADATA
from fedseg.run.uploads import Upload


def parse_upload(text: str, expected: str | None = None, classes: ClassList = CITYSCAPES) -> Upload:
    """Read a client's metadata; of the client that is expected, where one is.

    Raises:
        FedsegError: it is malformed, or speaks for another client than the one asked.
    """
    if len(text) > MOST_METADATA:
        raise FedsegError(f"malformed metadata: it has more than {MOST_METADATA} characters")
    try:
        content = json.loads(text)
        upload = Upload.model_validate(content)
    except ValidationError as error:
        raise FedsegError(f"malformed metadata: {explain(Upload, error, content)}") from None
    except (ValueError, RecursionError) as error:
        raise FedsegError(f"malformed metadata: {why_unreadable(error)}") from None
    if expected is not None and upload.name != expected:
        raise FedsegError(f"answered in the name of '{upload.name}'")
    if upload.info.classes != classes:
        raise FedsegError("its classes are not those of the federation")
    return upload
