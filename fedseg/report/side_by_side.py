"""The global models of several runs in one page: scores, classes and pictures side by side."""

from collections.abc import Sequence
from pathlib import Path

from fedseg.config import GLOBAL, differing_keys, load, shared_sets
from fedseg.errors import FedsegError
from fedseg.files import check_new_file, write_text
from fedseg.run.folder import distinct_labels, find_run
from fedseg.run.progress import Progress, silent
from fedseg.run.records import Result
from fedseg.run.result import scores


def write_side_by_side(
    folders: Sequence[Path | str], out: Path | str, progress: Progress = silent
) -> Path:
    """Write a page with the global models of several runs side by side.

    Args:
        folders: run folders that share evaluation sets.
        out: file to write.
        progress: receives the state of the work.

    Returns:
        The file written.

    Raises:
        FedsegError: a folder is no run with a global model, or they share no evaluation set.
    """
    runs = [find_run(Path(folder)) for folder in folders]
    for run in runs:
        if not run.global_model.is_dir():
            raise FedsegError(f"{run.path}: the run has no global model yet")
    federations = [load(run.config) for run in runs]
    first, *others = federations
    sets = shared_sets(federations)
    labels = distinct_labels([run.path.name for run in runs])
    found = [
        scores(run, federation).get(GLOBAL, {})
        for run, federation in zip(runs, federations, strict=True)
    ]
    scored = [name for name in sets if all(name in row for row in found)]
    if not scored:
        raise FedsegError(
            "the runs share no evaluation set with scores; a set is shared if its table and "
            "[classes] in the files are the same"
        )
    out = Path(out)
    check_new_file(out)
    from fedseg.report import facts  # these import torch
    from fedseg.report.heat import class_maps
    from fedseg.report.page import fill_in
    from fedseg.report.samples import find_samples

    evaluation = {
        label: {name: row[name] for name in scored}
        for label, row in zip(labels, found, strict=True)
    }
    # Rows of one result, so that tables and maps are those of a report.
    together = Result(
        status="completed", seed=0, clients={}, evaluation=evaluation, seconds={}, versions={}
    )
    shown = first.model_copy(
        update={"evaluation": [one for one in first.evaluation if one.name in scored]}
    )
    models = {label: run.global_model for label, run in zip(labels, runs, strict=True)}
    keys = [key for other in others for key in differing_keys(first, other)]
    content = {
        "name": ", ".join(labels),
        "columns": facts.columns(together),
        "standings": facts.standings(together),
        "differing": list(dict.fromkeys(keys)),
        "sample_sets": find_samples(shown, models, [], progress),
        "class_maps": class_maps(together, first),
    }
    write_text(out, fill_in("side_by_side.html", content))
    return out
