"""Checkpoints on the Hugging Face hub: `hf://REPOSITORY[@REVISION]` in place of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fedseg.errors import FedsegError, first_line
from fedseg.files import refuse_full_disk
from fedseg.models.locations import WEIGHTS, address
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import notices

FILES = (
    "config.json",
    WEIGHTS,
    "fedseg.json",
    "made_from.json",
    "upload.json",
    "client.json",
)
"""What is sent and fetched: of a checkpoint's weights, safetensors alone."""
PROBE_SECONDS = 5.0
"""How long the hub may take to answer at all."""


@contextmanager
def quick_hub() -> Iterator[None]:
    """Within it, a hub that can't be reached is not asked again and again.

    Its client would repeat each request for half a minute before it looks into its cache.
    """
    if constants.HF_HUB_OFFLINE or _answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def _answers(url: str) -> bool:
    try:
        httpx.head(url, timeout=PROBE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return False
    return True


def local_folder(checkpoint: Path | str) -> Path:
    """The folder of a checkpoint; one on the hub is downloaded, or taken from the hub's cache.

    Args:
        checkpoint: a folder, or `hf://REPOSITORY[@REVISION]`.

    Raises:
        FedsegError: the hub does not have it, or can't be reached and its cache does not.
    """
    wanted = address(checkpoint)
    if wanted is None:
        return Path(checkpoint)
    repository, revision = wanted
    try:
        with quick_hub():
            folder = Path(
                snapshot_download(repository, revision=revision, allow_patterns=list(FILES))
            )
    except (RepositoryNotFoundError, HFValidationError):
        raise FedsegError(
            f"{wanted}: the hub has no such repository, or it is private and you are not logged "
            "in; log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise FedsegError(f"{wanted}: the repository has no such revision") from None
    except LocalEntryNotFoundError:
        raise FedsegError(
            f"{wanted}: the hub can't be reached, and its cache does not hold this checkpoint"
        ) from None
    except Exception as error:  # of the hub, of the network or of the disk, in many classes
        refuse_full_disk(error, wanted)
        raise FedsegError(f"{wanted}: can't be downloaded: {first_line(error)}") from None
    if not (folder / WEIGHTS).is_file():
        raise FedsegError(
            f"{wanted}: has no {WEIGHTS}, and weights of another format are never read"
        )
    [weights] = file_hashes([folder / WEIGHTS])
    notices.warning("%s is commit %s, weights sha256 %s", wanted, folder.name, weights)
    return folder
