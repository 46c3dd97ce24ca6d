"""Taking in what clients upload: everything is checked before anything of it is used."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from fedseg.config import Model, Training
from fedseg.errors import FedsegError, first_line
from fedseg.models import adapters, checkpoints
from fedseg.models.build import outline
from fedseg.models.names import check_names
from fedseg.run.folder import Run
from fedseg.run.uploads import Upload
from fedseg.storage.hashes import content_hash


def check_sizes(upload: Upload, training: Training) -> None:
    """See that a client's model sees images at the size that the server asked for.

    What it costs the server to run the model follows from that size.

    Raises:
        FedsegError: it names another crop, inference height or stride.
    """
    info = upload.info
    wanted = checkpoints.describe(info.model, training)
    for what in ("crop", "inference_height", "stride"):
        sent, asked = getattr(info, what), getattr(wanted, what)
        if sent != asked:
            raise FedsegError(f"its {what} is {sent}, but {asked} was asked for")


def store(
    run: Run,
    upload: Upload,
    weights: Mapping[str, Tensor],
    model: Model | None = None,
    seed: int = 0,
) -> Path:
    """Check a client's weights and write them to the run folder, whole or not at all.

    Where the client sends only what it trained, that is added to the server's own copy of the rest.

    Weights that came as float16 are kept as float32, and hashed again as they are kept. The
    caller should hold no other reference to them: they are freed before the file is written.

    Args:
        run: whose folder.
        upload: the client's metadata.
        weights: the client's, of its whole model or of the part that it trained.
        model: as the client was asked to train it, with the server's own encoder weights. None:
            the weights are those of a whole model.
        seed: of the untrained weights.

    Raises:
        FedsegError: architecture not on the allow-list, or a tensor that is missing, unknown, of
            another shape or dtype, not finite, or not what the metadata's hash says; the rest of
            the model differs from the server's; or the server can't write them.
    """
    check_names(upload.info.arch, upload.info.encoder)
    is_part = model is not None and model.train != "all"
    if (upload.base is not None) != is_part:
        wanted, sent = ("a part", "a whole") if is_part else ("a whole", "a part of a")
        raise FedsegError(f"sent {sent} model, but was asked for {wanted}")
    if model is not None and upload.base is not None:
        own = model.model_copy(update=upload.info.model.network)
        network = adapters.whole(own, seed, weights, upload.base)
    else:
        network = outline(upload.info.model)
        kept = dict(checkpoints.checked(network.state_dict(), weights, "upload"))
        network.load_state_dict(kept, assign=True)
        del kept
    if content_hash(weights) != upload.sha256:
        raise FedsegError("its weights are not those it announced; they were damaged on the way")
    del weights
    upload = upload.model_copy(update={"sha256": content_hash(network.state_dict())})
    folder = run.clients / upload.name
    try:
        checkpoints.save(folder, network, upload.info, client=upload.model_dump(mode="json"))
    except (OSError, SafetensorError) as error:  # a full disk, for one: a smaller one may fit
        raise FedsegError(f"the server can't keep its upload: {first_line(error)}") from error
    return folder
