"""The server's part, from the clients' checkpoints in a run folder to their scores."""

import time
from collections.abc import Callable

from fedseg.config import Federation
from fedseg.errors import RunFailed
from fedseg.method.context import Context, open_context
from fedseg.method.pipeline import make_global_model
from fedseg.method.scoring import log_scores, score_models
from fedseg.run.folder import Run
from fedseg.run.progress import Progress


def run_server(run: Run, federation: Federation, progress: Progress) -> dict[str, float]:
    """Make the global model and score all models; it can be repeated.

    Returns:
        Seconds that each stage took, by name; 0 for one whose product was there.

    Raises:
        RunFailed: fewer clients than the configuration asks for.
    """
    context = open_context(run, federation, progress)
    found, needed = len(context.clients), federation.min_clients
    if found < needed:
        raise RunFailed(
            f"{found} good uploads, but min_clients = {needed}: nothing to distill from"
        )
    stages: dict[str, Callable[[Context], None]] = {
        "distillation": make_global_model,
        "evaluation": score_models,
    }
    seconds = {}
    for name, stage in stages.items():
        started = time.monotonic()
        stage(context)
        seconds[name] = round(time.monotonic() - started, 1)
    log_scores(context)
    return seconds
