"""A torch network as one ONNX file that is complete by itself: raw patches in, probabilities out."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from model.card import ModelCard, encode_card
from model.onnx import INPUT, OUTPUT, OnnxNetwork
from model.torch_network import ProbabilityModule, TorchNetwork
from utils.atomic import atomic_path

CLOSE = 1e-4  # probabilities of torch and ONNX Runtime may differ by less than this
BATCHES = ((1, 256, 288), (2, 384, 160))  # patches, rows, columns: the first is traced, both are compared
log = logging.getLogger(__name__)


def export_onnx(network: nn.Module, card: ModelCard, path: Path, batches: Sequence[tuple[int, ...]] = BATCHES) -> float:
    """Write a network that gives logits as ONNX, for patches of any size; returns its distance from torch.

    That is the largest difference of probability on random patches (count, *size). Normalisation, sigmoid and card are
    in the file; equal content gives equal bytes. Raises ValueError where the network has no such form or the distance
    is not below CLOSE; then there is no file.
    """
    try:
        model = _trace(ProbabilityModule(network, card).eval(), card.in_channels, batches[0])
    except Exception as error:  # whatever torch meets in a network; it shares no base
        raise ValueError(f"{path.name}: this {card.architecture} has no ONNX form ({_in_short(error)})") from error
    with atomic_path(path) as draft:
        draft.write_bytes(_plain(model, card).SerializeToString(deterministic=True))
        distance = _distance(TorchNetwork(network, card), OnnxNetwork(draft), card.in_channels, batches)
        if not distance < CLOSE:
            raise ValueError(f"{path.name}: ONNX Runtime's probabilities are up to {distance:.2g} from torch's")
    return distance


def _trace(module: nn.Module, channels: int, batch: tuple[int, ...]) -> onnx.ModelProto:
    """The graph of a module for any count and size of patches."""
    count, *size = batch
    patches = torch.zeros((max(2, count), channels, *size), dtype=torch.uint8)  # one alone would be taken for fixed
    free = dict.fromkeys((0, *range(2, 2 + len(size))), torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what torch tells itself
        program = torch.export.export(module, (patches,), dynamic_shapes=(free,)).run_decompositions(POOLING)
        exported = torch.onnx.export(
            program, (patches,), dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
        )
    return exported.model_proto


def _pool(images: Tensor, sides: Sequence[int]) -> Tensor:
    """Adaptive average pooling of (N, C, H, W) as two products of matrices, for any H and W."""
    rows, columns = (_means(n, side) for n, side in zip(images.shape[-2:], sides, strict=True))
    return rows @ images @ columns.T


def _means(n: int, cells: int) -> Tensor:
    """Matrix (cells, n) that averages the places floor(i n / cells) to ceil((i + 1) n / cells) of an axis."""
    cell = torch.arange(cells)[:, None]
    start, stop = cell * n // cells, ((cell + 1) * n + cells - 1) // cells
    place = torch.arange(n)
    return ((place >= start) & (place < stop)).float() / (stop - start)


# torch's own form of these is for one size only
POOLING: dict[Any, Any] = {
    torch.ops.aten.adaptive_avg_pool2d.default: _pool,
    torch.ops.aten._adaptive_avg_pool2d.default: _pool,
}


def _plain(model: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """The model with its card and without what tells of the machine or the run that made it."""
    graph = model.graph
    for part in (model, graph, *graph.node, *model.functions):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    model.producer_version = model.producer_version.split("+")[0]
    for value in (*graph.input, *graph.output):
        for place, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = f"axis{place}"
    _number(graph)
    onnx.helper.set_model_props(model, encode_card(card))
    return model


def _number(graph: onnx.GraphProto) -> None:
    """Name nodes and what they give by their place; torch's names count what it traced before."""
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # an inner graph may use any name of the outer one
    ends = {value.name for value in graph.output}
    names: dict[str, str] = {}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        names |= {name: f"{node.name}_{place}" for place, name in enumerate(node.output) if name and name not in ends}
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _distance(one: TorchNetwork, other: OnnxNetwork, channels: int, batches: Sequence[tuple[int, ...]]) -> float:
    rng = np.random.default_rng(0)
    patches = [rng.integers(0, 256, (count, channels, *size), np.uint8) for count, *size in batches]
    return max(float(np.abs(one(each) - other(each)).max()) for each in patches)


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
