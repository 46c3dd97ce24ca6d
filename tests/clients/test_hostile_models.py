"""What a node does with models that the server only describes."""

import pytest
import torch

from fedseg.config import Protocol
from fedseg.flower.wire import to_records
from fedseg.models import checkpoints
from fedseg.participants.node import ScoreTask
from tests.clients.test_app import allow_cross_site, ask
from tests.clients.test_app import certs as certs
from tests.clients.test_app import make_folder as make_folder
from tests.memory import little_memory

WIDE = {"pyramid_channels": 2048, "segmentation_channels": 2048}
"""Of a decoder of 1 GB."""


@pytest.fixture(autouse=True)
def _within(within_a_run):
    """Within a run."""


GIANTS = [
    {"encoder": "mit_b0", "decoder": WIDE},
    {"decoder": WIDE},
    {"encoder": "resnext101_32x48d"},  # 3.3 GB
]


@pytest.mark.parametrize(
    ("role", "kind"),
    [("evaluator", "evaluate"), ("trainer", "evaluate.cross_site_evaluation")],
)
def test_a_node_builds_no_model_that_is_only_described(make_folder, make_world, run, role, kind):
    folder = make_folder(role, make_world("city", seed=9))
    if role == "trainer":
        allow_cross_site(folder)
    known = checkpoints.load_info(run.clients / "one")
    how = ScoreTask(protocol=Protocol(), timeout=600).model_dump_json()
    bias = {"segmentation_head.0.bias": torch.zeros(19)}
    with little_memory():
        for giant in GIANTS:
            info = known.model_copy(update=giant).model_dump_json()
            task = {"name": "one", "how": how, "info": info}
            reply, _ = ask(folder, kind, task, to_records(bias))
            assert set(reply.content["answer"]) == {"error", "salt"}
