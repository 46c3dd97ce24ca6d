"""Giving up on work."""

import subprocess
import sys
import time

import numpy as np
import pytest

from fedseg.errors import FedsegError, PublicError
from fedseg.participants.watchdog import every, memory_limit, resident_memory, time_limit, watched
from fedseg.run.progress import FileProgress


def test_watched_gives_up_on_work_that_hangs_but_not_on_slow_work(tmp_path):
    progress = FileProgress(tmp_path, "client")
    with pytest.raises(FedsegError, match=r"no progress for 0\.2 s"):
        watched(lambda notify: time.sleep(3), progress, stall=0.2)

    def slow(notify):
        for done in range(8):
            time.sleep(0.06)
            notify("training", done, 8)
        return "finished"

    assert watched(slow, progress, stall=0.3) == "finished"


def test_watched_hands_errors_on(tmp_path):
    def fail(notify):
        raise ValueError("spoilt")

    with pytest.raises(ValueError, match="spoilt"):
        watched(fail, FileProgress(tmp_path, "client"), stall=5)


def test_watched_gives_up_when_a_guard_says(tmp_path):
    progress, reasons = FileProgress(tmp_path, "client"), iter([None, None, "the run has ended"])
    started = time.monotonic()
    with pytest.raises(PublicError, match="the run has ended"):
        watched(lambda notify: time.sleep(30), progress, lambda: next(reasons), stall=0.4)
    assert time.monotonic() - started < 5


def test_work_that_goes_on_too_long_is_given_up(tmp_path):
    def endless(notify):
        for done in range(1000):
            time.sleep(0.02)
            notify("training", done, 1000)

    limit = time_limit(0.3, "node.toml, limits.seconds")
    with pytest.raises(PublicError, match=r"not done within 0.3 s; gave up \(node.toml, limits"):
        watched(endless, FileProgress(tmp_path, "client"), limit)


def test_work_that_takes_too_much_memory_is_given_up(tmp_path):
    def greedy(notify):
        kept = np.ones(400 * 2**20, np.uint8)
        time.sleep(30)
        return kept

    limit = memory_limit(resident_memory() + 200 * 2**20)
    assert limit() is None
    with pytest.raises(PublicError, match=r"GiB of memory in use, but .* limits.memory"):
        watched(greedy, FileProgress(tmp_path, "client"), limit)


def test_memory_of_processes_that_were_started_counts():
    before = resident_memory()
    code = "import time; x = bytearray(300 * 2**20); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert resident_memory() - before > 250 * 2**20
        process.kill()


def test_a_guard_may_be_asked_less_often():
    asked = []
    guard = every(0.2, lambda: asked.append(1))
    for _ in range(10):
        guard()
    assert asked == []
    time.sleep(0.25)
    guard()
    guard()
    assert len(asked) == 1
