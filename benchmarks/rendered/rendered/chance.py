"""Choices made with a generator of random numbers."""

import numpy as np


def pick(rng, table):
    """One of the (thing, weight) pairs of `table`, in proportion to the weights."""
    weights = np.array([weight for _, weight in table], float)
    return table[rng.choice(len(table), p=weights / weights.sum())][0]


def one_of(rng, things):
    """One of `things`, all equally likely."""
    return things[rng.integers(len(things))]


def happens(rng, probability):
    """Whether something happens; what is certain or impossible takes no random number."""
    return probability >= 1 or (probability > 0 and rng.random() < probability)


def draw(rng, ranges, key):
    """A number from the range of `key`, or its value if that is fixed.

    A number is drawn for every range of the table: so the numbers drawn after it do not depend on
    the key, and two scenes that differ in it alone stay alike.
    """
    drawn = {
        name: rng.uniform(*value) if isinstance(value, tuple) else value
        for name, value in ranges.items()
    }
    return drawn[key]
