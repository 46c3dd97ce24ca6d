"""What can be known to be wrong before checkpoints are scored. Needs no torch."""

from collections.abc import Sequence
from pathlib import Path

from fedseg.config import Suite
from fedseg.data.dataset import check_source
from fedseg.evaluation.tables import row_names
from fedseg.files import check_writable
from fedseg.models.info import check_model


def check_suite(folders: Sequence[Path], suite: Suite, out: Path | None) -> None:
    """See that checkpoints and datasets are there, and that scores can be written.

    Args:
        folders: checkpoints, as of `suite.score_suite`.
        suite: the datasets.
        out: folder for the scores, if they are kept.

    Raises:
        FedsegError: the first thing wrong, with the remedy.
    """
    if out:
        check_writable(out)
    row_names(folders)
    for folder in folders:
        check_model(folder)
    for chosen in suite.evaluation:
        check_source(chosen)
