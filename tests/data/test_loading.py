import threading
import time

import pytest

from fedseg.data.loading import prefetch


def test_results_come_in_order_whatever_finishes_first():
    def slow_if_even(number):
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * number

    assert list(prefetch(slow_if_even, range(20), 4, 8)) == [n * n for n in range(20)]


def test_no_more_than_ahead_is_ever_waiting():
    started = []
    results = prefetch(lambda n: started.append(n), range(100), 4, 5)
    next(results)
    time.sleep(0.05)
    assert len(started) <= 6


def test_an_error_is_raised_in_its_place_and_threads_end():
    def fail_at_three(number):
        if number == 3:
            raise ValueError("three")
        return number

    results = prefetch(fail_at_three, range(10), 2, 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    time.sleep(0.05)
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


@pytest.mark.parametrize(("cores", "threads"), [(1, 2), (4, 4), (64, 8)])
def test_as_many_threads_as_cores_within_reason(monkeypatch, cores, threads):
    monkeypatch.setattr("fedseg.data.loading.cpus", lambda: cores)
    together = threading.Barrier(threads, timeout=10)  # passes only if so many are in it at once
    assert list(prefetch(lambda n: together.wait() >= 0, range(threads))) == [True] * threads
    started = []
    results = prefetch(lambda n: started.append(n), range(100))
    next(results)
    results.close()
    assert max(started) <= 2 * threads
