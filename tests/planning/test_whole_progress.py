import time

import pytest

from fedseg.config import GLOBAL, Federation
from fedseg.planning.whole_progress import WHOLE, WholeRun, stage_work


class Seen:
    """Keeps what is reported of the whole run."""

    def __init__(self):
        self.parts, self.minutes, self.stages = [], [], []

    def __call__(self, stage, done, total, /, name="", **details):
        if stage == WHOLE:
            self.parts.append(done)
            self.minutes.append(details.get("minutes left:"))
        else:
            self.stages.append((name, stage, done))


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_work_by_hand(federation_data):
    federation_data["server"]["distillation"] = {"votes": "consistency"}
    federation = Federation.model_validate(federation_data)
    found = stage_work(federation)
    client = federation.clients[0].training
    rows, columns = client.crop
    assert found["one", "training"] == 3 * client.iterations * client.batch_size * rows * columns
    names = [stage for name, stage in found if name == "server"]
    labels = [
        f"{what} {name}" for what in ("labels by", "consistency of") for name in ("one", "two")
    ]
    assert names[:5] == [*labels, "distillation"]
    # Three changed copies of each of four images.
    assert found["server", "consistency of one"] == 3 * found["server", "labels by one"]
    assert names[-1] == f"{GLOBAL} on held-out"


def test_a_whole_run_from_start_to_end(federation, clock):
    seen = Seen()
    whole = WholeRun(federation, seen)
    total = stage_work(federation)
    second = 0.01 * sum(total.values())  # a hundredth of the work
    for (name, stage), cost in total.items():
        for done in range(1, 11):
            clock[0] += cost / 10 / second
            whole(stage, done, 10, name=name)
    assert seen.parts[-1] == 100
    assert seen.parts == sorted(set(seen.parts))
    # At an even speed of a hundredth a second, what is left is known from the start.
    assert seen.minutes[0] is None
    for parts, minutes in zip(seen.parts[3:], seen.minutes[3:], strict=True):
        assert minutes * 60 == pytest.approx(100 - parts, rel=0.1, abs=1.5)


def test_stages_that_are_not_known_pass(federation):
    seen = Seen()
    whole = WholeRun(federation, seen)
    whole("checking data", 1, 2, name="one")
    whole("waiting", 0, 0, name="server")
    assert seen.stages == [("one", "checking data", 1), ("server", "waiting", 0)]
    assert seen.parts == []


def test_ends_that_nobody_saw(federation):
    """Progress files are read now and then: the last step of a stage may be missed."""
    seen = Seen()
    whole = WholeRun(federation, seen)
    whole("training", 1, 3, name="one")
    whole(f"{GLOBAL} on held-out", 3, 3, name="server")
    assert seen.parts[-1] == 100


def test_a_resumed_run_is_not_faster_than_it_is(federation, clock):
    """What was there before does not count as done now."""
    seen = Seen()
    whole = WholeRun(federation, seen)
    whole("training", 51, 100, name="one")
    assert seen.minutes == [None]  # there is no speed yet
    clock[0] += 60
    whole("training", 100, 100, name="one")
    cost = stage_work(federation)
    here = cost["one", "training"] * 49 / 100  # 49 steps in a minute
    left = sum(cost.values()) - cost["one", "training"]
    assert seen.minutes[-1] == pytest.approx(left / here)
