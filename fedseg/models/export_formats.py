"""What a model can be exported as. Needs no torch."""

from enum import StrEnum
from pathlib import Path

from fedseg.errors import FedsegError
from fedseg.files import check_new_file
from fedseg.models.info import check_checkpoint


class Format(StrEnum):
    """What a model is exported as."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    HALF = "safetensors-fp16"


SUFFIXES = {Format.ONNX: ".onnx", Format.TORCHSCRIPT: ".pt", Format.HALF: ".safetensors"}


def check_export(checkpoint: Path, path: Path, format: Format, is_special: bool) -> None:
    """See that an export makes sense, and that its file can be written.

    Args:
        checkpoint: its folder, or an address on the hub.
        path: the file to write.
        format: what is written.
        is_special: whether anything shall be put inside, or a size be fixed.

    Raises:
        FedsegError: no checkpoint, another suffix than the format's, a file that can't be written,
            or something that the format can't hold.
    """
    if path.suffix != SUFFIXES[format]:
        raise FedsegError(f"--out {path}: a file of {format} ends with {SUFFIXES[format]}")
    if format == Format.HALF and is_special:
        raise FedsegError(f"{format} holds weights alone: nothing can be put inside, nor a size")
    check_new_file(path)
    check_checkpoint(checkpoint)
