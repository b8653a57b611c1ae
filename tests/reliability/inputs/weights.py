"""Weights folders that are damaged, that lie about themselves, or that a stranger made to do harm."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save

from model.card import ModelCard, encode_card
from model.network_options import NetworkOptions
from tests.networks import write_mean
from tests.reliability.room import Room

ONNX_CARD = ModelCard("Unet", "", 3, ("object",), (0.0,) * 3, (1.0,) * 3, reduction=1.0, threshold=0.5)
HALF = (0.5,) * 3
SMALL = NetworkOptions(channels=(4, 8), res_units=0)
CARD = replace(ONNX_CARD, architecture="monai-UNet", mean=HALF, std=HALF, network=SMALL)
MARK = "executed"  # a file that no weights may make


def no_folder(room: Room) -> None:
    """No folder."""
    shutil.rmtree(room.weights)


def no_file(room: Room) -> None:
    """A folder without a file."""
    _emptied(room)


def content(room: Room, suffix: str, text: str) -> None:
    """A weights file that holds some text."""
    _odd(room, suffix).write_text(text)


def truncated(room: Room) -> None:
    """The first half of a file."""
    _cut(_torch(room))


def header_of(room: Room, size: int) -> None:
    """A file that says its header had so many bytes."""
    _odd(room, ".safetensors").write_bytes(struct.pack("<Q", size) + b"{}")


def tensor_of(room: Room, size: int) -> None:
    """A file that says a tensor had so many bytes."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    _odd(room, ".safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def good(room: Room) -> None:
    """A file of torch, as training leaves it."""
    _torch(room)


def without(room: Room, name: str) -> None:
    """A tensor less."""
    state = _state()
    del state[name]
    _torch(room, state)


def more(room: Room, name: str) -> None:
    """A tensor more."""
    _torch(room, {**_state(), name: torch.zeros(3)})


def wider(room: Room, name: str) -> None:
    """A tensor of another shape."""
    state = _state()
    _torch(room, {**state, name: torch.zeros([n + 1 for n in state[name].shape])})


def filled(room: Room, value: str) -> None:
    """A tensor of one value."""
    state = _state()
    name = next(iter(state))
    _torch(room, {**state, name: torch.full_like(state[name], float(value))})


def metadata(room: Room, suffix: str, text: str | None) -> None:
    """A file with some text for its card, or with none."""
    given = {} if text is None else {"card": text}
    if suffix == ".onnx":
        write_mean(_odd(room, suffix), ONNX_CARD, given)
    else:
        _odd(room, suffix).write_bytes(save(_state(), given))


def card(room: Room, suffix: str, **changes: object) -> None:
    """A file whose card says something else."""
    fields = {**json.loads(encode_card(ONNX_CARD if suffix == ".onnx" else CARD)["card"]), **changes}
    metadata(room, suffix, json.dumps(fields))


def card_of(room: Room, suffix: str, changes: dict[str, object]) -> None:
    """The same, from a row."""
    card(room, suffix, **changes)


def hostile_config(room: Room, suffix: str) -> Callable[[Room], str]:
    """A card whose config would run a program, and names places outside of the folder."""
    run = f"!!python/object/apply:os.system ['touch {room.folder / MARK}']"
    card(room, suffix, config=f"OUTPUT_DIR: ../../x\nSEED: {run}\n")
    return _nothing_made


def other_classes(room: Room) -> None:
    """Two files for other classes."""
    _pair(room, classes=("object", "other"))


def other_scale(room: Room) -> None:
    """Two files for other scales."""
    _pair(room, reduction=2.0)


def both_kinds(room: Room) -> None:
    """A file of torch beside one of ONNX."""
    _torch(room)
    write_mean(room.weights / "mean.onnx", ONNX_CARD)


class _Touch:
    """What makes a file when it is unpickled as pickles are meant to be."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def pickle_that_runs(room: Room, suffix: str) -> Callable[[Room], str]:
    """A pickle that makes a file."""
    torch.save({"state_dict": _Touch(room.folder / MARK)}, _odd(room, suffix))
    _normalised(room)
    return _nothing_made


class _Bytes:
    """2^40 bytes in a few."""

    def __reduce__(self) -> tuple:
        return bytearray, (2**40,)


def pickle_of_bytes(room: Room) -> None:
    """A pickle that makes a terabyte."""
    torch.save({"state_dict": _Bytes.__new__(_Bytes)}, _odd(room, ".pth"))
    _normalised(room)


def packed(room: Room) -> None:
    """A file that unpacks to a thousand times its size."""
    from zipfile import ZIP_DEFLATED, ZipFile

    plain = room.folder / "plain.pth"
    torch.save({"a": torch.zeros(2**20)}, plain)
    with ZipFile(plain) as source, ZipFile(_odd(room, ".pth"), "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    _normalised(room)


def plain(room: Room) -> None:
    """A state dict alone, for which the config speaks."""
    torch.save(_state(), _odd(room, ".pth"))
    _normalised(room)
    room.options |= {
        "MODEL.ARCHITECTURE": CARD.architecture,
        "MODEL.CHANNELS": [4, 8],
        "MODEL.RES_UNITS": 0,
        "TILES.REDUCTION": 1,
        "TEST.TH": 0.5,
    }


def damaged_plain(room: Room) -> None:
    """The first half of one."""
    plain(room)
    _cut(room.weights / "odd.pth")


def onnx_cut(room: Room) -> None:
    """The first half of an ONNX file."""
    _cut(write_mean(_odd(room, ".onnx"), ONNX_CARD))


def onnx_outside(room: Room, location: str) -> None:
    """An ONNX file that keeps a number in another file, which is there."""
    model = onnx.load(write_mean(_odd(room, ".onnx"), ONNX_CARD))
    tensor = next(each for each in model.graph.initializer if each.name == "white")
    tensor.raw_data = np.float32(255).tobytes()
    tensor.ClearField("float_data")
    onnx.external_data_helper.set_external_data(tensor, location, 0, 4)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    (room.weights / location).parent.mkdir(exist_ok=True)
    (room.weights / location).write_bytes(np.float32(255).tobytes())
    (room.weights / "odd.onnx").write_bytes(model.SerializeToString())


def onnx_input(room: Room) -> None:
    """An ONNX file that wants a second input."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1]))

    _changed(room, change)


def onnx_names(room: Room) -> None:
    """An ONNX file whose input has another name."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = model.graph.node[0].input[0] = "x"

    _changed(room, change)


def _changed(room: Room, change: Callable[[onnx.ModelProto], None]) -> None:
    path = write_mean(_odd(room, ".onnx"), ONNX_CARD)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def _pair(room: Room, **changes: object) -> None:
    _torch(room)
    (room.weights / "other.safetensors").write_bytes(save(_state(**changes), encode_card(replace(CARD, **changes))))


def _state(**changes: object) -> dict[str, torch.Tensor]:
    """Tensors of a tiny network, always the same."""
    from model.custom_models import build_network

    torch.manual_seed(0)
    own = replace(CARD, **changes)
    return build_network(own.architecture, "", None, 3, len(own.classes), own.network).state_dict()


def _torch(room: Room, state: dict[str, torch.Tensor] | None = None) -> Path:
    path = _odd(room, ".safetensors")
    path.write_bytes(save(_state() if state is None else state, encode_card(CARD)))
    return path


def _odd(room: Room, suffix: str) -> Path:
    _emptied(room)
    return room.weights / f"odd{suffix}"


def _emptied(room: Room) -> None:
    for path in room.weights.iterdir():
        path.unlink()


def _normalised(room: Room) -> None:
    room.options |= {"INPUT.MEAN": [0.5] * 3, "INPUT.STD": [0.5] * 3}


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _nothing_made(room: Room) -> str:
    return f"{MARK} was made" if (room.folder / MARK).exists() else ""
