"""What data a run was made from: which of its clients and scores are outdated when data changes.

sources.json in the run folder holds, for each dataset that this machine can read, a fingerprint of
its files and its card. In a deployed federation these are the server's; what a client trained on is
known at its node alone, and stays there.
"""

import shutil

from fedseg.config import GLOBAL, Federation
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.errors import FedsegError
from fedseg.files import digest
from fedseg.models.build import model_inputs
from fedseg.run.folder import CENTRALIZED, Run, alone_name
from fedseg.storage.provenance import (
    changed_inputs,
    notices,
    open_product,
    read_product,
    write_product,
)

Sources = dict[str, str]
"""A fingerprint for each participant, set and server, by a name that people understand."""


def current_sources(federation: Federation) -> Sources:
    """Fingerprints of all data of a simulated federation as it is now.

    Raises:
        FedsegError: a dataset can't be found.
    """
    found: Sources = {}
    for client in federation.clients:
        model = model_inputs(client.model)
        found[f"client '{client.name}'"] = digest(data_inputs(open_dataset(client)), model)
    for evaluator in federation.evaluators:
        found[f"evaluator '{evaluator.name}'"] = digest(data_inputs(open_dataset(evaluator)))
    server = open_dataset(federation.server, labelled=False)
    found["server"] = digest(data_inputs(server))
    for chosen in federation.evaluation:
        found[f"evaluation '{chosen.name}'"] = digest(data_inputs(open_dataset(chosen)))
    return found


def update_sources(run: Run, federation: Federation) -> list[str]:
    """Discard what is in a run folder and was made from data that has changed since.

    That is: uploads of clients, and scores by clients and evaluators, whose own data changed. What
    the server made keeps a record of its own, and is made again when the server comes to it.

    Returns:
        Names of what changed, as in `current_sources`; empty where nothing did.
    """
    now = current_sources(federation)
    known = _known(run)
    # Of a run that has clients but no record, nobody knows what they were trained on.
    is_new = not known and not run.clients.is_dir()
    changed = [] if is_new else [n for n in changed_inputs(known, now) if n in now]
    if changed:
        run.result.unlink(missing_ok=True)
    for name in changed:
        notices.warning("the data of %s changed since this run began; using the new data", name)
    for client in federation.clients:
        if f"client '{client.name}'" in changed:
            shutil.rmtree(run.clients / client.name, ignore_errors=True)
            for other in federation.clients:
                run.cross_site_evaluation(client.name, other.name).unlink(missing_ok=True)
                run.cross_site_evaluation(other.name, client.name).unlink(missing_ok=True)
            run.forget([CENTRALIZED, alone_name(CENTRALIZED)])
    for evaluator in federation.evaluators:
        if f"evaluator '{evaluator.name}'" in changed:
            run.score(GLOBAL, evaluator.name).unlink(missing_ok=True)
    if known != now:
        write_product(run.sources, {"sources": now}, {})
    return changed


def check_sources(run: Run, federation: Federation) -> None:
    """See that the data that the models of a simulated run were made from is still the same.

    Raises:
        FedsegError: the data of a client or of the server changed.
    """
    if not run.sources.is_file():
        return
    now = current_sources(federation)
    known = open_product(run.sources)[0]["sources"]
    changed = [n for n in changed_inputs(known, now) if n.startswith("client ") or n == "server"]
    if changed:
        raise FedsegError(
            f"{run.path}: the data of {' and '.join(changed)} changed since its models were made; "
            "run `fedseg simulate` with the same file and folder to bring the run up to date"
        )


def _known(run: Run) -> Sources:
    content = read_product(run.sources, {})
    return content["sources"] if content else {}
