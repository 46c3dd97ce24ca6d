"""Every client's model labels the server's images, and is left out if it can't."""

from functools import partial

from fedseg.config import Federation
from fedseg.data.dataset import Dataset
from fedseg.errors import ModelError
from fedseg.method.context import Context
from fedseg.method.pace import PaceLimit, image_seconds
from fedseg.method.teachers import Teachers, predict_images
from fedseg.models.checkpoints import Info
from fedseg.storage.provenance import notices


def label_images(
    context: Context, teachers: Teachers, images: Dataset, student: Info
) -> dict[str, str]:
    """Have every teacher predict every image, shown as `server.labelling` says.

    A teacher whose model can't, or takes too long, is removed, and a notice says why.

    Args:
        context: of the run.
        teachers: which of them remain is changed in place.
        images: what they predict.
        student: facts of the model to be distilled; its input size sets the size of predictions.

    Returns:
        The reason by the name of each that was removed.
    """
    unusable = {}
    for name, teacher in list(teachers.items()):
        pace = PaceLimit(context.progress, partial(_usual_seconds, context.federation, name))
        stage, protocol = f"labels by {name}", context.federation.server.labelling
        try:
            teacher.files = predict_images(
                teacher.checkpoint, images, student, context.run.predictions, pace, stage, protocol
            )
        except ModelError as error:
            notices.warning("client '%s' is left out: %s", name, error)
            del teachers[name]
            unusable[name] = str(error)
    return unusable


def _usual_seconds(federation: Federation, name: str) -> float:
    """Seconds that an image takes the model that a client was asked for, or the global model."""
    server = federation.server
    asked = {(c.model.plain, c.training) for c in federation.clients if c.name == name}
    return max(
        image_seconds(model, training, server, server.labelling)
        for model, training in asked | {(federation.model.plain, federation.training)}
    )
