"""Networks that tests predict with in place of trained ones."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from model.card import ModelCard, encode_card


def write_mean(path: Path, card: ModelCard, metadata: dict[str, str] | None = None) -> Path:
    """An ONNX file that gives the mean over the channels, over 255; with a card, or with other metadata."""
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["mean"]),
        helper.make_node("Div", ["mean", "white"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("white", TensorProto.FLOAT, [], [255.0]),
    ]
    sides, pixels = ["d", "h", "w"][-card.network.axes :], {2: TensorProto.UINT8, 3: TensorProto.FLOAT}
    ends = [
        helper.make_tensor_value_info("image", pixels[card.network.axes], ["n", card.in_channels, *sides]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1, *sides]),
    ]
    graph = helper.make_graph(nodes, "mean", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, encode_card(card) if metadata is None else metadata)
    onnx.save(model, path)
    return path
