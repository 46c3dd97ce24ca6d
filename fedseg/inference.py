"""Running a model over whole images."""

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.checkpoints import STRIDE, Info
from fedseg.training import autocast, normalise


def input_size(height: int, width: int, info: Info) -> tuple[int, int]:
    """Size at which a model sees an image: its inference height, the image's own proportions.

    Both rounded to multiples of 32 pixels.
    """
    rows = max(round(info.inference_height / STRIDE), 1) * STRIDE
    columns = max(round(rows * width / height / STRIDE), 1) * STRIDE
    return rows, columns


@torch.inference_mode()
def logits(network: nn.Module, info: Info, image: np.ndarray) -> Tensor:
    """Run a model on one image.

    Args:
        network: in evaluation mode.
        info: of the model.
        image: uint8 [H, W, 3], RGB.

    Returns:
        float32 [19, h, w] on the model's device, at `input_size`.
    """
    device = next(network.parameters()).device
    rows, columns = input_size(*image.shape[:2], info)
    shrinks = rows < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (columns, rows), interpolation=interpolation)
    batch = normalise(torch.from_numpy(resized).to(device)[None], info.normalisation)
    with autocast(device, "auto"):
        return network(batch)[0].float()


@torch.inference_mode()
def probabilities(network: nn.Module, info: Info, image: np.ndarray) -> Tensor:
    """Class probabilities of each pixel: float32 [19, H, W], at the image's own size."""
    scores = F.interpolate(
        logits(network, info, image)[None], image.shape[:2], mode="bilinear", align_corners=False
    )
    return scores[0].softmax(dim=0)
