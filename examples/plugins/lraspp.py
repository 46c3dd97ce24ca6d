"""Model: LR-ASPP on MobileNetV3 (Howard et al., arXiv 1905.02244), from torchvision.

arch = "lraspp:build" under [model]
"""

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from fedseg.config import Model


class LRASPP(nn.Module):
    """torchvision's network, with logits at the size of the images."""

    stride = 16

    def __init__(self, classes: int, weights: str | None) -> None:
        super().__init__()
        network = lraspp_mobilenet_v3_large(num_classes=classes, weights_backbone=weights)
        self.encoder, self.decoder = network.backbone, network.classifier

    def forward(self, images: Tensor) -> Tensor:
        logits = self.decoder(self.encoder(images))
        return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)


def build(spec: Model, classes: int) -> nn.Module:
    """Make the model; `encoder_weights` is "none", or "imagenet" for torchvision's."""
    return LRASPP(classes, "DEFAULT" if spec.encoder_weights == "imagenet" else None)
