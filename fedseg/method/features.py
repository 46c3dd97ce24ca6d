"""A model's decoder features: beside its logits, and a client's of the server's images on disk.

Every client's features are projected to their principal components on the server's images, so that
clients of different architectures and widths take the same, small space: uint8 [h, w, WIDTH], one
file an image, on the same grid as the targets.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError
from fedseg.evaluation.inference import infer, resize_logits
from fedseg.files import digest
from fedseg.method.teachers import (
    Arrays,
    grid_of,
    missing_indices,
    target_file,
    target_size,
    write_arrays,
)
from fedseg.models.build import best_device
from fedseg.models.checkpoints import Info, identity, load
from fedseg.run.progress import Progress
from fedseg.storage.hashes import file_hashes

WIDTH = 32
"""Principal components that are kept of a client's features, at most."""
RANGE = 4.0
"""Standard deviations of a component that the bytes span, each way."""
FITTED_IMAGES = 32
"""Images on which the components are found."""
FITTED_PIXELS = 1000
"""Pixels of each of them."""


class Featured(nn.Module):
    """A model that gives its decoder's features, projected, as channels after its logits.

    Args:
        network: of segmentation-models-pytorch; its features are what its segmentation head reads.
        projection: from float [N, C, h, w] to float [N, D, h, w].
    """

    def __init__(self, network: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.projection = projection

    def forward(self, images: Tensor) -> Tensor:
        """float [N, 3, H, W] to float [N, C + D, H, W]."""
        seen = []
        # What decoders are given, and how, differs between architectures; the head does not.
        hook = _head(self.network).register_forward_pre_hook(
            lambda head, given: seen.append(given[0])
        )
        try:
            logits = self.network(images)
        finally:
            hook.remove()
        features = self.projection(seen[0])
        size = logits.shape[2:]
        features = F.interpolate(features, size, mode="bilinear", align_corners=False)
        return torch.cat([logits, features], dim=1)


def feature_width(network: nn.Module) -> int:
    """Number of channels of a model's decoder features."""
    return next(_head(network).parameters()).shape[1]


def _head(network: nn.Module) -> nn.Module:
    """The layers that turn a model's decoder features into logits.

    Raises:
        FedsegError: nothing is called so.
    """
    head = getattr(network, "segmentation_head", None)
    if not isinstance(head, nn.Module):
        raise FedsegError(
            f"{type(network).__name__}: has no segmentation_head, whose input would be fused; set "
            "fusion to 'mean'"
        )
    return head


def write_features(
    checkpoint: Path,
    dataset: Dataset,
    student: Info,
    folder: Path,
    progress: Progress,
    stage: str,
) -> list[Path]:
    """Write a client's projected features of every image; those there already are kept.

    Args:
        checkpoint: the client's checkpoint folder.
        dataset: the server's images; labels are not looked at.
        student: its input size sets the grid, the same for every client.
        folder: where the features of all clients are kept.
        progress: receives the state of the work.
        stage: what it is reported as.

    Returns:
        For each image, in order, the file with its features, uint8 [h, w, WIDTH].
    """

    def features(numbers: Sequence[int]) -> Arrays:
        network, info = load(checkpoint, best_device())
        featured = Featured(network, projection.to(best_device()))
        for index, image, output in infer(featured, info, dataset.image, numbers):
            projected = resize_logits(
                output[len(info.classes) :], target_size(image.shape[:2], student)
            )
            yield index, to_bytes(projected.permute(1, 2, 0).cpu().numpy() / RANGE)

    # The components are those of all images together, so each array depends on all of them.
    images = digest(*file_hashes(dataset.images))
    key = digest("features", WIDTH, *identity(checkpoint), *grid_of(student), images)
    files = [target_file(folder / key, index) for index in range(len(dataset))]
    if numbers := missing_indices(files):
        projection = principal_components(*load(checkpoint, best_device()), dataset).cpu()
        write_arrays(files, numbers, features, progress, stage)
    return files


def principal_components(network: nn.Module, info: Info, dataset: Dataset) -> nn.Module:
    """The projection of a model's features to their whitened principal components on a dataset."""
    step = max(len(dataset) // FITTED_IMAGES, 1)
    samples, device = [], next(network.parameters()).device
    chosen = range(0, len(dataset), step)
    for _, _, output in infer(Featured(network, nn.Identity()), info, dataset.image, chosen):
        pixels = output[len(info.classes) :].flatten(1).T.double().to(device)
        samples.append(pixels[:: max(len(pixels) // FITTED_PIXELS, 1)])
    values = torch.cat(samples)
    mean = values.mean(dim=0)
    variances, directions = torch.linalg.eigh(torch.cov(values.T).reshape(len(mean), -1))
    variances, directions = variances[-WIDTH:], directions[:, -WIDTH:]
    weight = (directions / variances.clamp(min=1e-12).sqrt()).T
    projection = nn.Conv2d(len(mean), len(weight), 1).requires_grad_(False).to(values.device)
    projection.load_state_dict({"weight": weight[:, :, None, None], "bias": -weight @ mean})
    return projection


def to_bytes(values: np.ndarray) -> np.ndarray:
    """-1..1 to uint8, clipped."""
    return np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)


def from_bytes(values: Tensor) -> Tensor:
    """uint8 to float32 -1..1."""
    return values.float() / 127.5 - 1
