"""Which of the server's images every client sees again, changed. Needs no torch."""

SAMPLE = 60
"""Most images that are looked at, spread evenly over the dataset."""
COPIES = 3
"""Changed copies of each; the changes take turns."""


def sample_images(count: int) -> list[int]:
    """Numbers of at most `SAMPLE` of a dataset's images, in order."""
    sampled = min(SAMPLE, count)
    return [place * count // sampled for place in range(sampled)]
