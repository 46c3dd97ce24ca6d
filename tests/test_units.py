import doctest

import pytest

from fedseg import units


def test_the_examples():
    assert doctest.testmod(units).attempted == 3
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "1.5 min"), (5400, "1.5 h")]
)
def test_a_duration_has_the_unit_that_it_is_read_in(seconds, text):
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0.0 MB"), (999e6, "999.0 MB"), (1e9, "1.0 GB")])
def test_sizes_are_powers_of_ten(count, text):
    assert units.format_bytes(count) == text
