"""Images of any size for models that take multiples of their stride alone.

An image is continued below and on the right by its last row and column, and what is predicted
there is cut off. A model's own predictions for an image hardly depend on how it is continued.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class WholeStrides(nn.Module):
    """A model that takes images of any size: what `pad_in_onnx` does, in PyTorch.

    Args:
        network: takes images [N, 3, H, W] whose sides are multiples of the stride, and gives
            [N, H, W] or [N, C, H, W].
        stride: of the model.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W] of any dtype to [N, H, W] or [N, C, H, W]."""
        height, width = images.shape[2], images.shape[3]
        below = (self.stride - height % self.stride) % self.stride
        right = (self.stride - width % self.stride) % self.stride
        rows = torch.arange(height + below, device=images.device).clamp(max=height - 1)
        columns = torch.arange(width + right, device=images.device).clamp(max=width - 1)
        padded = images.index_select(2, rows).index_select(3, columns)
        output: Tensor = self.network(padded)
        return output[..., :height, :width]


def pad_in_onnx(path: Path, stride: int) -> None:
    """Do in an ONNX file what `WholeStrides` does, in the nodes of its graph.

    Args:
        path: a file of one input [N, 3, H, W] and one output [N, H, W] or [N, C, H, W]; changed.
        stride: of the model.
    """
    import onnx
    from onnx import helper

    model = onnx.load(path)
    graph = model.graph
    [given], [made] = graph.input, graph.output
    inner, outer = f"{given.name}.padded", f"{made.name}.padded"
    for node in graph.node:
        node.input[:] = [inner if name == given.name else name for name in node.input]
        node.output[:] = [outer if name == made.name else name for name in node.output]
    rank = len(made.type.tensor_type.shape.dim)
    constants = {"stride": [stride], "start": [0, 0], "sides": [2, 3], "ends": [rank - 2, rank - 1]}
    for name, values in constants.items():
        array = helper.make_tensor(f"pad.{name}", onnx.TensorProto.INT64, [len(values)], values)
        graph.initializer.append(array)

    def make_node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], name=f"pad.{output}", **attributes)

    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(
        [
            make_node("Shape", [given.name], "pad.size", start=2, end=4),
            make_node("Neg", ["pad.size"], "pad.negative"),
            make_node("Mod", ["pad.negative", "pad.stride"], "pad.missing"),
            make_node("Concat", ["pad.start", "pad.missing"], "pad.both", axis=0),
            make_node("Pad", [given.name, "pad.both", "", "pad.sides"], inner, mode="edge"),
            *nodes,
            make_node("Slice", [outer, "pad.start", "pad.size", "pad.ends"], made.name),
        ]
    )
    for value in (given, made):
        sides = list(value.type.tensor_type.shape.dim)[-2:]
        for side, name in zip(sides, ("height", "width"), strict=True):
            side.Clear()
            side.dim_param = name
    onnx.checker.check_model(model)
    onnx.save(model, path)
