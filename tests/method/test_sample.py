from itertools import pairwise

import pytest

from fedseg.method.sample import SAMPLE, sample_images


@pytest.mark.parametrize("count", [1, 7, SAMPLE, SAMPLE + 1, 3475])
def test_a_sample_is_spread_over_the_dataset(count):
    sample = sample_images(count)
    assert len(sample) == len(set(sample)) == min(count, SAMPLE)
    assert sample[0] == 0
    assert sample[-1] < count
    gaps = {later - earlier for earlier, later in pairwise(sample)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
