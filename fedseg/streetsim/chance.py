"""Random choices that several parts of a scene make."""

import numpy as np

from .texture import Colour, scaled


def pick(weights: dict[str, float], rng: np.random.Generator) -> str:
    """A key, with chances in proportion to the values."""
    at = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    return next(reversed(weights))  # rounding


def one_of(colours: tuple[Colour, ...], rng: np.random.Generator, spread: float = 0.1) -> Colour:
    """One of the colours, a little lighter, darker and off."""
    r, g, b = colours[int(rng.integers(len(colours)))]
    tone, *tint = rng.standard_normal(4).tolist()
    tone = max(1 + spread * tone, 0.2)
    return scaled(tuple(c * (1 + 0.03 * k) for c, k in zip((r, g, b), tint, strict=True)), tone)


def along(rng: np.random.Generator, near: float, far: float) -> float:
    """A distance with as many per doubling: what is near is big and deserves its share."""
    return float(near * (far / near) ** rng.random())
