"""Publishing a checkpoint on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from fedseg.errors import FedsegError, first_line
from fedseg.models import checkpoints
from fedseg.models.hub import FILES


def push(checkpoint: Path, repository: str, card: str, private: bool = False) -> str:
    """Publish a checkpoint, with its model card, in one commit; the repository is made if needed.

    Args:
        checkpoint: a checkpoint folder, verified before anything is sent.
        repository: OWNER/NAME.
        card: content of the repository's README.md.
        private: whether a repository that is made is.

    Returns:
        The commit's address.

    Raises:
        FedsegError: no checkpoint, or the hub refuses it or can't be reached.
    """
    checkpoints.load(checkpoint)
    operations = [CommitOperationAdd("README.md", card.encode())]
    operations += [
        CommitOperationAdd(name, checkpoint / name)
        for name in FILES
        if (checkpoint / name).is_file()
    ]
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.create_commit(
            repository, operations, commit_message="Upload of a fedseg checkpoint"
        )
    except HFValidationError:
        raise FedsegError(f"{repository}: no name of a repository; give OWNER/NAME") from None
    except HfHubHTTPError as error:
        hint = "; log in with `hf auth login`" if error.response.status_code == 401 else ""
        raise FedsegError(f"{repository}: the hub refuses it: {first_line(error)}{hint}") from None
    except Exception as error:  # no network, no token, an interrupted upload, in many classes
        raise FedsegError(
            f"{repository}: can't be sent to {constants.ENDPOINT}: {first_line(error)}"
        ) from None
    return str(done.commit_url)
