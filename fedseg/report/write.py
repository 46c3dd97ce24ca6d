"""report.html: a whole run for people, in one file that needs no network."""

import logging
from pathlib import Path

from fedseg.config import Federation, load
from fedseg.errors import FedsegError
from fedseg.files import check_new_file, write_text
from fedseg.run.folder import Run, find_run
from fedseg.run.progress import Progress, silent
from fedseg.run.records import Result
from fedseg.run.result import scores
from fedseg.storage.provenance import notices


def conclude_run(run: Run, federation: Federation, result: Result, progress: Progress) -> None:
    """End a run: write report.html, then result.json, whose being there says that it has ended.

    A report that can't be made is no reason to lose a run: why is logged.

    Args:
        run: the run folder.
        federation: its configuration.
        result: what `gather_result` gives.
        progress: receives the state of the work.
    """
    try:
        write_report(run, federation, result, run.report, progress)
    except Exception as problem:
        known = isinstance(problem, FedsegError)
        logging.getLogger(__name__).warning("no report: %s", problem, exc_info=not known)
    result.write(run.result)


def report_on(
    folder: Path | str, out: Path | str | None = None, progress: Progress = silent
) -> Path:
    """Write the report of a run that has ended.

    Args:
        folder: the run folder.
        out: file to write; default: report.html in the run folder.
        progress: receives the state of the work.

    Returns:
        The file written.

    Raises:
        FedsegError: no such run, one that has not ended, or a checkpoint that can't be used.

    Examples:
        >>> import fedseg
        >>> fedseg.write_report("runs/embedded", "embedded.html").name
        'embedded.html'
    """
    folder = Path(folder)
    run = find_run(folder)
    if not run.result.is_file():
        raise FedsegError(f"{folder}: the run has not ended; expected {run.result.name} in it")
    out = Path(out or folder / run.report.name)
    check_new_file(out)
    federation = load(run.config)
    from fedseg.evaluation.scores import outdated_sets  # it imports torch

    for name in outdated_sets(run, federation):
        notices.warning(
            "%s: the data of '%s' changed after the models were scored on it; `fedseg compare %s` "
            "scores them again",
            folder,
            name,
            folder,
        )
    write_report(run, federation, Result.read(run.result), out, progress)
    return out


def write_report(
    run: Run, federation: Federation, result: Result, out: Path, progress: Progress
) -> None:
    """Write the report of a run.

    Args:
        run: the run folder.
        federation: its configuration.
        result: of the run.
        out: file to write.
        progress: receives the state of the work.

    Raises:
        FedsegError: a checkpoint of the run can't be used.
    """
    from fedseg.report.page import render  # it imports torch

    result = result.with_scores(result.evaluation | scores(run, federation))
    write_text(out, render(run, federation, result, progress))
