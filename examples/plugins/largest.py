"""Baseline: the client with the most images.

fedseg compare RUN --baseline largest:make
"""

from fedseg.config import Federation
from fedseg.extend import Clients, Progress, Run, checkpoints, read_accepted


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """Copy the model of the client with the most images."""
    images = {name: read_accepted(folder).images for name, folder in clients.items()}
    largest = clients[max(images, key=lambda name: images[name])]
    network, info = checkpoints.load(largest)
    inputs = {"client": checkpoints.identity(largest)}
    checkpoints.save(run.baseline("largest"), network, info, inputs)
