"""Model families of Hugging Face's transformers, as semantic models.

Needs the extra `fedseg[transformers]`. A checkpoint is what `save_pretrained` writes, under the
names of transformers, so that its own classes open it. No code of a checkpoint is run: the
network follows from the tables below.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Model
from fedseg.errors import FedsegError, did_you_mean, import_extra
from fedseg.models.encoder_weights import read_weights, weights_file
from fedseg.models.prefixes import Names, select_weights
from fedseg.models.weight_files import announced

LEAST = 1e-6
"""Smallest probability that a mask-classification model gives to a class."""


def _mix_transformer(depths: list[int], width: int = 64, decoder: int = 768) -> dict[str, Any]:
    widths = [width, 2 * width, 5 * width, 8 * width]
    return {"depths": depths, "hidden_sizes": widths, "decoder_hidden_size": decoder}


def _swin(width: int, depth: int, heads: int, window: int) -> dict[str, Any]:
    return {
        "embed_dim": width,
        "depths": [2, 2, depth, 2],
        "num_heads": [heads, 2 * heads, 4 * heads, 8 * heads],
        "window_size": window,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def _vit(width: int, depth: int, heads: int) -> dict[str, Any]:
    return {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}


ENCODERS = {
    # Xie et al., arXiv 2105.15203, table 6; those of nvidia/mit-b0 to b5.
    "hf_segformer": {
        "mit-b0": _mix_transformer([2, 2, 2, 2], 32, 256),
        "mit-b1": _mix_transformer([2, 2, 2, 2], decoder=256),
        "mit-b2": _mix_transformer([3, 4, 6, 3]),
        "mit-b3": _mix_transformer([3, 4, 18, 3]),
        "mit-b4": _mix_transformer([3, 8, 27, 3]),
        "mit-b5": _mix_transformer([3, 6, 40, 3]),
    },
    # Liu et al., arXiv 2103.14030, section 3.3; those of facebook/mask2former-swin-*.
    "hf_mask2former": {
        "swin-tiny": _swin(96, 6, 3, 7),
        "swin-small": _swin(96, 18, 3, 7),
        "swin-base": _swin(128, 18, 4, 12),
        "swin-large": _swin(192, 18, 6, 12),
    },
    # DINOv2's, arXiv 2304.07193, table 17; those of tue-mps/*_eomt_*.
    "hf_eomt": {
        "dinov2-small": _vit(384, 12, 6),
        "dinov2-base": _vit(768, 12, 12),
        "dinov2-large": _vit(1024, 24, 16),
    },
}
"""Of each architecture in `FAMILIES`, by name, what its `configure` takes."""


class Family(NamedTuple):
    """An architecture of transformers.

    Attributes:
        network: name of its class.
        encoder: where its encoder is, in that class.
        encoders: by name, the arguments by which `configure` makes a configuration.
        configure: from transformers and those arguments.
        logits: from what the network gives to logits, float [N, C, h, w].
        head: where the layer is that gives the logits, if one does.
        sizes_in_onnx: whether an ONNX file of it takes more than one size.
        stride: pixels of which the sides of images must be multiples, so that its features align.
        is_encoder_apart: whether the encoder can be frozen by itself.
        adjust: called with a network that was just made, to let it take any size.
        note_size: called with the network and the rows and columns of images that it is about to
            see.
    """

    network: str
    encoder: str
    encoders: dict[str, dict[str, Any]]
    configure: Callable[[Any, dict[str, Any]], Any]
    logits: Callable[[Any], Tensor]
    head: str | None = None
    sizes_in_onnx: bool = True
    stride: int = 32
    is_encoder_apart: bool = True
    adjust: Callable[[Any], None] = lambda network: None
    note_size: Callable[[Any, int, int], None] = lambda network, rows, columns: None


def _mask2former(transformers: Any, backbone: dict[str, Any]) -> Any:
    return transformers.Mask2FormerConfig(backbone_config=transformers.SwinConfig(**backbone))


def _semantic(output: Any) -> Tensor:
    """Logits whose softmax is a mask-classification model's probability of each class.

    The sum over queries of the probabilities of class and mask: Cheng et al., arXiv 2107.06278,
    section 3.4.
    """
    classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last one is "no object"
    masks = output.masks_queries_logits.sigmoid()
    return torch.einsum("nqc,nqhw->nchw", classes, masks).clamp(min=LEAST).log()


class Positions(nn.Embedding):
    """A square table of positions, interpolated to the size of what is seen, as DINOv2's are."""

    grid: tuple[int, int]

    def forward(self, ids: Tensor) -> Tensor:
        """The table at `grid`, float [1, rows * columns, D]."""
        side = round(self.num_embeddings**0.5)
        table = self.weight.T.reshape(1, self.embedding_dim, side, side)
        if self.grid != (side, side):
            table = F.interpolate(table, self.grid, mode="bicubic", align_corners=False)
        return table.flatten(2).transpose(1, 2)


def _adjust_eomt(network: Any) -> None:
    """Let it take any size, and attend without masks, as it does once it is trained.

    Kerssies et al., arXiv 2503.19108, section 3.3, anneal the masks away while training.
    """
    old = network.embeddings.position_embeddings
    positions = Positions(old.num_embeddings, old.embedding_dim)
    positions.weight = old.weight
    network.embeddings.position_embeddings = positions
    network.attn_mask_probs.zero_()


def _note_grid(network: Any, rows: int, columns: int) -> None:
    patch = network.config.patch_size
    network.grid_size = (rows // patch, columns // patch)
    network.embeddings.position_embeddings.grid = network.grid_size


FAMILIES = {
    "hf_segformer": Family(
        network="SegformerForSemanticSegmentation",
        encoder="segformer",
        encoders=ENCODERS["hf_segformer"],
        configure=lambda transformers, arguments: transformers.SegformerConfig(**arguments),
        logits=lambda output: output.logits,
        head="decode_head.classifier",
    ),
    "hf_mask2former": Family(
        network="Mask2FormerForUniversalSegmentation",
        encoder="model.pixel_level_module.encoder",
        encoders=ENCODERS["hf_mask2former"],
        configure=_mask2former,
        logits=_semantic,
        sizes_in_onnx=False,  # deformable attention: torch's exporter needs minutes to fail
    ),
    "hf_eomt": Family(
        network="EomtForUniversalSegmentation",
        encoder="layers",
        encoders=ENCODERS["hf_eomt"],
        configure=lambda transformers, arguments: transformers.EomtConfig(**arguments),
        logits=_semantic,
        stride=16,
        is_encoder_apart=False,  # its last blocks work on the queries too
        adjust=_adjust_eomt,
        note_size=_note_grid,
    ),
}


def build(model: Model, classes: int) -> nn.Module:
    """Make a model of one of `FAMILIES` for its class list.

    Args:
        model: whose `encoder_weights` are "none", or a file of the whole network for any classes,
            or of its encoder.
        classes: how many there are.

    Returns:
        A module from float [N, 3, H, W], normalised, to logits [N, C, H, W].

    Raises:
        FedsegError: the extra is missing, an encoder or a setting that the family does not have, or
            weights that are not its own.
    """
    family = FAMILIES[model.arch]
    if model.encoder not in family.encoders:
        hint = did_you_mean(model.encoder, family.encoders)
        raise FedsegError(f"no encoder '{model.encoder}' of {model.arch}; {hint}")
    if model.decoder:
        raise FedsegError(f"decoder: {model.arch} has no settings; leave it out")
    if model.encoder_weights == "imagenet":
        raise FedsegError(
            f"{model.arch}: set encoder_weights to 'none', to a repository of the hub, "
            "'hf://OWNER/NAME', or to a .safetensors file of transformers' own"
        )
    transformers = import_extra("transformers", f"arch = '{model.arch}'", "transformers")
    config = family.configure(transformers, family.encoders[model.encoder])
    names = dict(enumerate(model.classes.names))
    config.num_labels, config.id2label = classes, names
    config.label2id = {name: train_id for train_id, name in names.items()}
    if model.train != "all" and not family.is_encoder_apart:
        raise FedsegError(f"{model.arch}: its encoder can't be frozen; set train to 'all'")
    network = cast(nn.Module, _network_class(model.arch)(config))
    family.adjust(network)
    if model.encoder_weights != "none":
        _load(network, weights_file(model.encoder_weights), family.encoder)
    return network


@cache
def _network_class(arch: str) -> Any:
    """The class of transformers, but from images to logits of their size."""
    family = FAMILIES[arch]
    base = getattr(import_extra("transformers", f"arch = '{arch}'", "transformers"), family.network)

    class Network(base):  # type: ignore[misc, valid-type]
        stride = family.stride
        sizes_in_onnx = family.sizes_in_onnx

        @property
        def encoder(self) -> nn.Module:
            return cast(nn.Module, self.get_submodule(family.encoder))

        @property
        def segmentation_head(self) -> nn.Module:
            if family.head is None:
                raise FedsegError(f"{arch} has no decoder features to fuse; set fusion to 'mean'")
            return cast(nn.Module, self.get_submodule(family.head))

        def forward(self, images: Tensor) -> Tensor:
            size = images.shape[2:]
            family.note_size(self, *size)
            logits = family.logits(super().forward(pixel_values=images))
            return F.interpolate(logits, size, mode="bilinear", align_corners=False)

        def save_pretrained(self, folder: Path) -> None:
            """Write config.json and model.safetensors, as transformers does."""
            self.config.architectures = [family.network]
            self.config.save_pretrained(folder)
            weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
            save_file(weights, folder / "model.safetensors", {"format": "pt"})

    Network.__name__ = Network.__qualname__ = family.network
    return Network


def _load(network: nn.Module, path: Path, encoder: str) -> None:
    """Load weights of the network, or of its encoder; those of other classes are left out."""
    weights = read_weights(path)
    wanted = network.state_dict()
    needed = {name for name in wanted if name.startswith(f"{encoder}.")}

    def fit(names: Names) -> Names | None:
        for given in (names, {f"{encoder}.{rest}": name for rest, name in names.items()}):
            if needed <= given.keys():
                return {name: given[name] for name in wanted if name in given}
        return None

    whose = f"encoder_weights: {path}"
    selected: Mapping[str, Tensor] = select_weights(weights, fit, len(needed), whose) or {}
    fitting = {
        name: selected[name]
        for name, outline in announced(selected).items()
        if outline.shape == wanted[name].shape and selected[name].isfinite().all()
    }
    if missing := sorted(needed - fitting.keys()):
        raise FedsegError(
            f"encoder_weights: {path}: not the weights of this encoder: {len(missing)} tensors are "
            f"missing, of another shape or not finite, as '{missing[0]}'"
        )
    network.load_state_dict(fitting, strict=False)
