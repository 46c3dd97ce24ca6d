"""Baseline: the client with the most images.

fedseg compare RUN --baseline largest:make
"""

from fedseg.extend import Context, checkpoints, read_accepted


def make(context: Context) -> None:
    """Copy the model of the client with the most images."""
    images = {name: read_accepted(folder).images for name, folder in context.clients.items()}
    largest = context.clients[max(images, key=lambda name: images[name])]
    network, info = checkpoints.load(largest)
    inputs = {"client": checkpoints.identity(largest)}
    checkpoints.save(context.run.baseline("largest"), network, info, inputs)
