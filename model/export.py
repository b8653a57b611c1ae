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
from model.network_options import RASTERS, raster
from model.onnx import INPUT, OUTPUT, OnnxNetwork
from model.same_padding import with_fixed_padding
from model.torch_network import ProbabilityModule, TorchNetwork
from utils.atomic import atomic_path

CLOSE = 1e-4  # probabilities of torch and ONNX Runtime may differ by less than this
BATCHES = ((1, 256, 288), (2, 384, 160))  # patches, rows, columns: the first is traced, both are compared
PIXELS: dict[int, np.dtype[Any]] = {2: np.dtype(np.uint8), 3: np.dtype(np.float32)}  # of patches, by spatial axes
log = logging.getLogger(__name__)


def export_onnx(
    network: nn.Module, card: ModelCard, path: Path, batches: Sequence[tuple[int, ...]] | None = None
) -> float:
    """Write a network that gives logits as ONNX, for patches of any size it takes; returns its distance from torch.

    That is the largest difference of probability on random patches (count, *size). Normalisation, sigmoid and card are
    in the file; equal content gives equal bytes. Patches are uint8 in two axes, float32 of the same scale in three.
    Raises ValueError where the network has no such form or the distance is not below CLOSE; then there is no file.
    """
    batches = batches or export_batches(card)
    try:
        module = ProbabilityModule(with_fixed_padding(network), card).eval()
        model = _trace(module, card, batches[0])
    except Exception as error:  # whatever torch meets in a network; it shares no base
        raise ValueError(f"{path.name}: this {card.architecture} has no ONNX form ({_in_short(error)})") from error
    with atomic_path(path) as draft:
        draft.write_bytes(_plain(model, card).SerializeToString(deterministic=True))
        distance = _distance(TorchNetwork(network, card), OnnxNetwork(draft), card, batches)
        if not distance < CLOSE:
            raise ValueError(f"{path.name}: ONNX Runtime's probabilities are up to {distance:.2g} from torch's")
    return distance


def export_batches(card: ModelCard) -> Sequence[tuple[int, ...]]:
    """Batches (count, *size) of patches that a network is traced and compared with."""
    if card.network.axes == 2:
        return BATCHES
    if card.network.patch:
        return ((1, *card.network.patch), (2, *card.network.patch))
    steps = raster(card.architecture, card.network)
    return ((1, *(3 * n for n in steps[:-1]), 4 * steps[-1]), (2, 4 * steps[0], *(3 * n for n in steps[1:])))


def _trace(module: nn.Module, card: ModelCard, batch: tuple[int, ...]) -> onnx.ModelProto:
    """The graph of a module for any count of patches, and any size unless the network takes but one."""
    count, *size = batch
    count = max(2, count)  # one alone would be taken for fixed
    patches = torch.from_numpy(np.zeros((count, card.in_channels, *size), PIXELS[len(size)]))
    free = {0: torch.export.Dim.DYNAMIC} | ({} if card.network.patch else _free_sides(card, size))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what torch tells itself
        program = torch.export.export(module, (patches,), dynamic_shapes=(free,)).run_decompositions(POOLING)
        exported = torch.onnx.export(
            program, (patches,), dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
        )
    return exported.model_proto


def _free_sides(card: ModelCard, size: Sequence[int]) -> dict[int, Any]:
    """Which sides of patches may change, by axis; those of MONAI's networks are said to be multiples of the raster.

    Torch then compares sizes within seconds about which it otherwise reasons for many minutes.
    """
    places = range(2, 2 + len(size))
    if card.architecture not in RASTERS:
        return dict.fromkeys(places, torch.export.Dim.DYNAMIC)
    steps = raster(card.architecture, card.network)
    return {i: step * torch.export.Dim(f"side{i}", min=1) for i, step in zip(places, steps, strict=True)}


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


def _distance(one: TorchNetwork, other: OnnxNetwork, card: ModelCard, batches: Sequence[tuple[int, ...]]) -> float:
    rng = np.random.default_rng(0)
    patches = [
        rng.integers(0, 256, (count, card.in_channels, *size), np.uint8).astype(PIXELS[len(size)])
        for count, *size in batches
    ]
    return max(float(np.abs(one(each) - other(each)).max()) for each in patches)


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
