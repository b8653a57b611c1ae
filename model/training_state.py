"""The state of training on disk: tensors and plain values in one safe file, and the file before it."""

import json
import logging
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.training_errors import TrainingError
from utils.atomic import atomic_path

FORMAT = "glomeruli-segmentation training state 1"
ENTRY = "state"  # the one entry of a file's metadata
PLACE = "<tensor>"  # stands in the plain values where a tensor belongs
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # in what safetensors says of a full disk
log = logging.getLogger(__name__)


class StateError(TrainingError):
    """A training state that cannot be gone on from; the message names the file or the part at fault."""


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write dicts and lists of tensors, numbers, texts and None; the file that stood at `path` stays as the one before.

    At any moment at least one of the two is whole.
    """
    tensors: dict[str, torch.Tensor] = {}
    values = _part(state, tensors)
    text = json.dumps({"format": FORMAT, "checksum": _checksum(tensors), "values": values})
    with atomic_path(path) as draft:
        try:
            save_file(tensors, draft, {ENTRY: text})
        except SafetensorError as error:
            number = OS_ERROR.search(str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        if path.exists():
            os.replace(path, previous(path))


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote at `path`, else the one before it, with a line in the log; tensors lie on the CPU.

    No code of the file is executed. Raises StateError where neither can be used.
    """
    problems = []
    for each in (path, previous(path)):
        try:
            state = _read(each)
        except StateError as error:
            problems.append(str(error))
            continue
        if problems:
            log.warning("%s; going on from the checkpoint before it", problems[0])
        return state
    raise StateError("; ".join(problems))


def has_state(path: Path) -> bool:
    """Whether a state was ever saved at `path`, usable or not."""
    return path.exists() or previous(path).exists()


def remove_state(path: Path) -> None:
    """Remove both files."""
    previous(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """Where the file that stood at `path` before is kept."""
    return path.with_name(f"{path.stem}_previous{path.suffix}")


def _part(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The plain values of a state; its tensors are added to `tensors` under numbers."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # a copy: a network may hold a tensor under several names, which the file's format refuses
        tensors[name] = value.detach().as_subclass(torch.Tensor).cpu().clone(memory_format=torch.contiguous_format)
        return {PLACE: name}
    if isinstance(value, Mapping):
        return {str(name): _part(each, tensors) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_part(each, tensors) for each in value]
    return value.item() if hasattr(value, "item") else value


def _join(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `_part`; tuples come back as lists."""
    if isinstance(value, dict):
        if set(value) == {PLACE}:
            return tensors[value[PLACE]]
        return {name: _join(each, tensors) for name, each in value.items()}
    return [_join(each, tensors) for each in value] if isinstance(value, list) else value


def _checksum(tensors: Mapping[str, torch.Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy(), total)
    return total


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise StateError(f"{path} is missing")
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {}).get(ENTRY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise StateError(f"{path} is damaged: {error}") from error
    if content.get("format") != FORMAT:
        raise StateError(f"{path} has format {content.get('format')!r}; this program reads {FORMAT!r}")
    if content["checksum"] != _checksum(tensors):
        raise StateError(f"{path} is damaged: its content does not fit its checksum")
    return _join(content["values"], tensors)
