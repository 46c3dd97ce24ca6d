"""Writing a checkpoint's model as ONNX, for other programs.

Each file is opened again and compared with the checkpoint's model before it is kept.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim

from fedseg.errors import FedsegError, first_line, import_extra
from fedseg.files import atomic_file, refuse_full_disk
from fedseg.models import checkpoints
from fedseg.models.build import check_size
from fedseg.models.checkpoints import Info
from fedseg.models.exported import KEY, ONNX_EXTRA, Contract, OnnxNetwork
from fedseg.models.info import check_export
from fedseg.models.whole_strides import WholeStrides, pad_in_onnx

OPSET = 18
"""Of ONNX: the oldest that torch's exporter writes itself, so that most programs read it."""
SIZES = ((128, 192), (192, 128), (256, 320))
"""Height and width of the example that a model of any size is exported with, and of images that the
file is tried with, beside those of `odd_size`."""
ANY_SIZE = (131, 161)
"""Height and width that are multiples of nothing; a file pads such images itself."""
Run = Callable[[Tensor], Tensor]
EQUAL, DIFFERENCE = 0.999, 1e-3
"""Pixels of the same class and the largest difference of a probability, for a file to be kept."""


class Parity(NamedTuple):
    """How a file's output compares with its checkpoint's, on random images.

    Attributes:
        equal: the part of the pixels with the same class, 0 to 1.
        difference: the largest of a probability, 0 to 1; None where the file gives classes.
    """

    equal: float
    difference: float | None

    def __str__(self) -> str:
        most = "" if self.difference is None else f", probabilities within {self.difference:.1g}"
        return f"{self.equal:.2%} of the pixels of random images have the same class{most}"


class Inside(nn.Module):
    """A model with what a `Contract` wants inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.network = network
        self.normalise, self.argmax = contract.normalise, contract.argmax
        for name, values in contract.info.normalisation._asdict().items():
            self.register_buffer(name, torch.tensor(values)[:, None, None] * 255, False)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 RGB [N, 3, H, W] to what the model itself takes, float32."""
        return (images.float() - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """What the `Contract` says."""
        logits = self.network(self.normalised(images) if self.normalise else images)
        return logits.argmax(dim=1) if self.argmax else logits


def export(
    checkpoint: Path,
    path: Path,
    normalise: bool = False,
    argmax: bool = False,
    size: tuple[int, int] | None = None,
) -> Parity:
    """Write a checkpoint's model as one ONNX file.

    Args:
        checkpoint: its folder.
        path: the file, replaced if it is there.
        normalise: the file takes uint8 RGB [N, 3, H, W] and normalises it.
        argmax: the file gives trainIds, int64 [N, H, W].
        size: height and width of the only images that it shall take, one at a time; None: batches
            of any size, padded inside to multiples of the model's stride (see `WholeStrides`).

    Returns:
        How it compares with the checkpoint.

    Raises:
        FedsegError: the model can't be exported so.
    """
    check_export(checkpoint, path)
    for library in ("onnxscript", "onnxruntime"):
        import_extra(library, *ONNX_EXTRA)
    network, info = checkpoints.load(checkpoint)
    if not size and not getattr(network, "sizes_in_onnx", True):
        raise _impossible(Contract(info=info), "the file would take one size alone")
    if size:
        check_size(info.model, size)
        info = info.model_copy(update={"inference_height": size[0]})
    contract = Contract(info=info, normalise=normalise, argmax=argmax, size=size)
    whole = Inside(network.to(memory_format=torch.contiguous_format), contract).eval()
    with atomic_file(path) as temporary, torch.no_grad(), _silent():
        try:
            run = _write(whole, contract, temporary)
            parity = _compare(whole, contract, run)
        except FedsegError:
            raise
        except Exception as error:  # exporters and what runs their files raise anything
            refuse_full_disk(error, path)
            raise _impossible(contract, first_line(error)) from error
        far = parity.difference is not None and parity.difference > DIFFERENCE
        if far or parity.equal < EQUAL:
            raise _impossible(contract, f"only {parity}")
    return parity


def fix_padding(module: nn.Module) -> None:
    """Replace TensorFlow's padding, as of timm's tf_* encoders, by what it is for whole strides.

    It depends on the size otherwise, by formulas over which torch's exporter takes hours.
    """
    for name, child in module.named_children():
        if type(child) is not Conv2dSame:
            fix_padding(child)
            continue
        old = cast(Any, child)
        shape = zip(old.kernel_size, old.dilation, old.stride, strict=True)
        rows, columns = (max((kernel - 1) * apart + 1 - step, 0) for kernel, apart, step in shape)
        padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        new = nn.Conv2d(
            old.in_channels,
            old.out_channels,
            old.kernel_size,
            old.stride,
            dilation=old.dilation,
            groups=old.groups,
            bias=old.bias is not None,
        )
        new.load_state_dict(old.state_dict())
        setattr(module, name, nn.Sequential(nn.ZeroPad2d(padding), new))


def odd_size(info: Info) -> tuple[int, int]:
    """Height and width that no power of 2 above the model's stride divides."""
    return 256 + info.stride, 320 + info.stride


def _write(network: Inside, contract: Contract, path: Path) -> Run:
    """Write a file, and open it again as what its outputs are compared by."""
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    traceable = deepcopy(network)
    fix_padding(traceable)
    program = torch.onnx.export(
        traceable,
        (_images(network, contract.size or SIZES[0], 1 if contract.size else 2),),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=None if contract.size else (sizes,),
        input_names=["images"],
        output_names=["trainIds" if contract.argmax else "logits"],
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props[KEY] = contract.model_dump_json()
    program.save(path, external_data=False)
    if not contract.size:
        pad_in_onnx(path, contract.info.stride)
    network_again = OnnxNetwork(path)
    return lambda images: torch.from_numpy(network_again.run(images.numpy()))


def _images(network: Inside, size: tuple[int, int], count: int) -> Tensor:
    """Random images as a model takes them."""
    generator = torch.Generator().manual_seed(size[0])
    images = torch.randint(0, 256, (count, 3, *size), generator=generator, dtype=torch.uint8)
    return images if network.normalise else network.normalised(images)


def _compare(network: Inside, contract: Contract, run: Run) -> Parity:
    equal, difference = [], []
    reference: nn.Module = network if contract.size else WholeStrides(network, contract.info.stride)
    sizes = [contract.size] if contract.size else [*SIZES, odd_size(contract.info), ANY_SIZE]
    for count, size in enumerate(sizes, 1):
        images = _images(network, size, count)
        wanted, given = reference(images), run(images)
        if given.shape != wanted.shape:
            raise ValueError(f"its output is {list(given.shape)}, not {list(wanted.shape)}")
        if not contract.argmax:
            difference.append((wanted.softmax(1) - given.softmax(1)).abs().max().item())
            wanted, given = wanted.argmax(1), given.argmax(1)
        equal.append((wanted == given).float().mean().item())
    return Parity(min(equal), max(difference, default=None))


def _impossible(contract: Contract, why: str) -> FedsegError:
    info = contract.info
    hint = "" if contract.size else "; it may work for one size: --size HEIGHT WIDTH"
    return FedsegError(f"{info.arch} with encoder {info.encoder} can't be exported: {why}{hint}")


@contextmanager
def _silent() -> Iterator[None]:
    """Without the warnings of exporters, which are about their own code."""
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
