"""Opening what `export` writes: models as ONNX files."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Section, parse
from fedseg.errors import FedsegError, ModelError, first_line, import_extra
from fedseg.files import holders_near
from fedseg.machine import cpus
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.models.info import Info, Normalisation, check_model
from fedseg.models.locations import address

KEY = "fedseg"
"""Under which a file's metadata hold its `Contract`, as JSON."""
ONNX_EXTRA = ("ONNX", "export")
"""What needs the libraries of ONNX, and the extra that has them."""
CERTAIN = 20.0
"""Logit of the class that a model with argmax inside names; the others have 0."""


class Contract(Section):
    """What a file's model takes and gives."""

    info: Info
    """Of the checkpoint it was made from."""
    normalise: bool = False
    """It takes uint8 RGB, and not normalised float32; [N, 3, H, W] either way."""
    argmax: bool = False
    """It gives trainIds, int64 [N, H, W], and not logits, float32 [N, C, H, W]."""
    size: tuple[int, int] | None = None
    """The only height and width that it takes; None: any."""


def open_here(path: Path) -> nn.Module:
    """The model of `open_model`, on the GPU when this machine has one, else on the CPU."""
    return open_model(path, best_device())[0]


def open_model(path: Path, device: str | torch.device) -> tuple[nn.Module, Info]:
    """Open a checkpoint, or an ONNX file of `fedseg export`.

    Args:
        path: a file, or what `checkpoints.load` takes.
        device: where the model shall be; ONNX runs on the CPU.

    Returns:
        The model in evaluation mode, from normalised float32 [N, 3, H, W] to logits, float32
        [N, C, H, W]; and what to know of it.

    Raises:
        FedsegError: no such file, or it can't be opened.
    """
    check_model(path)
    if address(path) or path.is_dir():
        return checkpoints.load(path, device)
    network = OnnxNetwork(path)
    return network.eval(), network.contract.info


def open_info(path: Path) -> Info:
    """What to know of a model that `open_model` opens, from this machine.

    Raises:
        FedsegError: no such file, or it can't be opened.
    """
    return checkpoints.load_info(path) if path.is_dir() else open_model(path, "cpu")[1]


def weights_of(path: Path) -> Path:
    """The file that holds the weights of such a model."""
    return path / checkpoints.WEIGHTS if path.is_dir() else path


def _contract(text: str | None, path: Path) -> Contract:
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        hint = holders_near(path, "fedseg.json")
        raise FedsegError(f"{path}: not a file of `fedseg export`{hint}") from None
    return parse(Contract, content, path)


class OnnxNetwork(nn.Module):
    """An ONNX file, run by onnxruntime on the CPU, as if it were a PyTorch model.

    Whatever is inside the file, this takes normalised images and gives logits.

    Raises:
        FedsegError: it can't be read, or `fedseg export` did not write it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        runtime = import_extra("onnxruntime", *ONNX_EXTRA)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = cpus()
        options.log_severity_level = 4  # what goes wrong is raised, too
        try:
            self.session = runtime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common class
            raise FedsegError(f"{path}: no ONNX model: {first_line(error)}") from None
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.contract = _contract(metadata.get(KEY), path)
        [self.input] = [given.name for given in self.session.get_inputs()]
        self.where = nn.Parameter(torch.empty(0), requires_grad=False)
        """Tells callers, who ask a model's parameters, that it is on the CPU."""

    def forward(self, images: Tensor) -> Tensor:
        """float32 [N, 3, H, W], normalised, to logits, float32 [N, C, H, W]."""
        size, wanted = tuple(images.shape[2:]), self.contract.size
        if wanted and size != wanted:
            raise ModelError(
                f"this model was exported for images of {wanted[0]}x{wanted[1]} only (height x "
                f"width); one was resized to {size[0]}x{size[1]}"
            )
        if self.contract.normalise:
            images = denormalise(images, self.contract.info.normalisation)
        # A file of one size takes one image at a time.
        parts = torch.split(images, 1 if wanted else len(images))
        found = [self.run(part.contiguous().numpy()) for part in parts]
        output = torch.from_numpy(np.concatenate(found))
        if self.contract.argmax:
            hot = F.one_hot(output, len(self.contract.info.classes))
            return hot.permute(0, 3, 1, 2).float() * CERTAIN
        return output

    def run(self, images: np.ndarray) -> np.ndarray:
        """What the file itself takes to what it gives."""
        [output] = self.session.run(None, {self.input: images})
        return output


def denormalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """Normalised float32 [N, 3, H, W] to the uint8 that it was made from."""
    mean, std = (torch.tensor(v)[:, None, None] for v in normalisation)
    return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
