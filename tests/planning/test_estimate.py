import pytest

from fedseg.config import Federation, Model, Training
from fedseg.method.context import open_context
from fedseg.method.labelling import label_images
from fedseg.method.teachers import open_teachers
from fedseg.models.build import build
from fedseg.planning.estimate import PROCESS, estimate_costs, makespan, training_bytes
from fedseg.run.progress import silent
from fedseg.storage.arrays import SUFFIX
from tests.conftest import TINY_MODEL


@pytest.mark.parametrize(
    ("jobs", "at_once", "expected"),
    [
        ([3, 3, 3], 1, 9),
        ([3, 3, 3], 2, 6),
        ([3, 3, 3], 3, 3),
        ([5, 1, 1, 1], 2, 5),
        ([1, 1, 1, 5], 2, 6),  # the long one starts last
    ],
)
def test_the_time_of_jobs_of_which_some_run_at_once(jobs, at_once, expected):
    assert makespan(jobs, at_once) == expected


def test_memory_grows_with_the_batch_and_the_crop_alone():
    def activations(**training):
        settings = Training(iterations=1, **training)
        return training_bytes(Model(**TINY_MODEL), settings) - PROCESS - weights

    weights = 0
    small = activations(batch_size=2, crop=(32, 64))
    large = activations(batch_size=4, crop=(32, 64))
    weights = 2 * small - large  # what does not grow with the batch
    assert activations(batch_size=6, crop=(32, 64)) == pytest.approx(
        3 * activations(batch_size=2, crop=(32, 64)), rel=0.02
    )
    assert activations(batch_size=2, crop=(64, 128)) == pytest.approx(
        4 * activations(batch_size=2, crop=(32, 64)), rel=0.02
    )
    parameters = sum(p.numel() for p in build(Model(**TINY_MODEL)).parameters())
    assert weights >= 4 * 4 * parameters  # weights, gradients and two moments in float32


def test_disk_is_what_a_run_writes(run, federation):
    stages = {stage.name: stage for stage in estimate_costs(federation, 2, silent)}
    uploads = sum(file.stat().st_size for file in run.clients.rglob("*.safetensors"))
    assert stages["clients"].disk == pytest.approx(uploads, rel=0.05)  # files have headers
    context = open_context(run, federation, silent)
    label_images(context, open_teachers(context.clients), context.images, context.student)
    written = sum(file.stat().st_size for file in run.predictions.rglob(f"*{SUFFIX}"))
    assert stages["labels"].disk == pytest.approx(written, rel=0.25)  # small arrays, so headers
    assert stages["labels"].is_temporary
    assert all(stages[name].seconds > 0 for name in ("clients", "labels", "distillation"))


def test_more_iterations_take_longer_and_equal_clients_are_timed_once(federation_data, monkeypatch):
    trials = set()
    monkeypatch.setattr(
        "fedseg.planning.estimate.step_seconds", lambda *given: trials.add(given) or 0.5
    )
    federation_data["clients"][0]["training"] = {"iterations": 40}
    federation = Federation.model_validate(federation_data)
    stages = estimate_costs(federation, 1, lambda *_, **__: None)
    [clients] = [stage for stage in stages if stage.name == "clients"]
    assert clients.seconds == 0.5 * (40 + 3)
    assert len(trials) == 1  # both clients, and the student
