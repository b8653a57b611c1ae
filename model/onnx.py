"""ONNX files as functions of raw patches, on ONNX Runtime or OpenVINO; no torch is needed."""

from pathlib import Path

import numpy as np

from model.card import ENTRY, ModelCard, decode_card
from model.onnx_file import refuse_external_data
from utils.threads import core_count, networks_at_once

INPUT, OUTPUT = "image", "probability"


class OnnxNetwork:
    """An ONNX file on ONNX Runtime on the CPU: (N, C, *) -> (N, K, *) float32 in [0, 1].

    Patches are uint8 in two axes, float32 of the same scale in three.
    """

    def __init__(self, path: Path):
        import onnxruntime

        refuse_external_data(path)
        options = onnxruntime.SessionOptions()
        self.at_once = networks_at_once()
        options.intra_op_num_threads = core_count() // self.at_once
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # readers and writers need the cores
        options.enable_mem_pattern = False  # a pattern would be kept for every size of patch
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no other base
            raise ValueError(f"{path} is no readable ONNX file: {_in_one_line(error)}") from error
        self.card = decode_card(self._session.get_modelmeta().custom_metadata_map, path)
        ends = self._session.get_inputs(), self._session.get_outputs()
        _check_ends(path, self.card, *({each.name: list(each.shape or ()) for each in side} for side in ends))

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        return self._session.run([OUTPUT], {INPUT: _as_traced(patches)})[0]


class OpenVinoNetwork:
    """An ONNX file on OpenVINO on the CPU: (N, C, *) -> (N, K, *) float32 in [0, 1], of patches as ONNX Runtime's.

    OpenVINO computes in bfloat16 where the CPU can; probabilities then differ by some hundredths.
    """

    def __init__(self, path: Path):
        try:
            import openvino
        except ImportError as error:
            raise ValueError(
                "TEST.ENGINE is 'openvino', which is not installed; choose 'onnx', or install it with "
                "pip install --requirement requirements-openvino.txt --constraint constraints.txt"
            ) from error
        refuse_external_data(path)
        core = openvino.Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise ValueError(f"{path} is no readable ONNX file: {_in_one_line(error)}") from error
        place = ["framework", ENTRY]  # where OpenVINO keeps an ONNX file's metadata
        self.card = decode_card({ENTRY: model.get_rt_info(place).value} if model.has_rt_info(place) else {}, path)
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": core_count()}
        settings["CPU_RUNTIME_CACHE_CAPACITY"] = 0  # else memory grows by megabytes with every size of patch
        self._compiled = core.compile_model(model, "CPU", settings)

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        return self._compiled({INPUT: _as_traced(patches)})[OUTPUT]


def _check_ends(path: Path, card: ModelCard, inputs: dict[str, list], outputs: dict[str, list]) -> None:
    """Raise ValueError for a file that does not map an image of the card's channels to probabilities of its classes."""
    wanted = [(inputs, INPUT, card.in_channels), (outputs, OUTPUT, len(card.classes))]
    for found, name, count in wanted:
        shape = found.get(name, [])
        if len(found) != 1 or len(shape) != card.network.axes + 2 or (isinstance(shape[1], int) and shape[1] != count):
            what = ", ".join(f"{own} {shape}" for own, shape in found.items())
            raise ValueError(
                f"{path} has {what}; it must have one {name} of {card.network.axes} axes and {count} channels"
            )


def _as_traced(patches: np.ndarray) -> np.ndarray:
    """Patches of the dtype that files take: 8-bit volumes become float32."""
    return patches.astype(np.float32) if patches.ndim == 5 and patches.dtype == np.uint8 else patches


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
