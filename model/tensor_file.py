"""Files of tensors from elsewhere: nothing in them is executed, and none takes more memory than it has bytes."""

import pickletools
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import torch
from safetensors.torch import load_file
from torch import Tensor

ZIP = b"PK\3\4"  # what torch's files begin with; older ones are pickles in a row
PICKLES = 5  # of an older file, before its tensors
SHOWN = 5  # names shown of a long list


def load_tensors(path: Path) -> Any:
    """What a .safetensors, .pth or .pt file holds; raises what the libraries do, and ValueError for claims."""
    if path.suffix == ".safetensors":
        return load_file(path)
    _refuse_claims(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def refuse_odd_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise ValueError for a tensor that claims more bytes than its file has, or that is sparse, quantized or empty."""
    most = path.stat().st_size
    for name, each in tensors.items():
        is_plain = each.device.type == "cpu" and each.layout == torch.strided and not each.is_quantized
        if not is_plain or each.numel() * each.element_size() > most:
            raise ValueError(f"{path} has {name}, which is no plain tensor; save model.state_dict()")


def refuse_no_numbers(tensors: Mapping[str, Tensor], name: str) -> None:
    """Raise ValueError naming the tensors that hold NaN or infinity, with which a network answers nonsense."""
    wrong = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if wrong:
        first = ", ".join(wrong[:SHOWN]) + ", ..." * (len(wrong) > SHOWN)
        raise ValueError(f"{name} has NaN or infinity in {len(wrong)} tensors ({first}); take weights of another epoch")


def _refuse_claims(path: Path) -> None:
    """Raise ValueError for what torch would unpack, or make, to any size."""
    with path.open("rb") as file:
        if file.read(len(ZIP)) != ZIP:
            file.seek(0)
            _refuse_bytearrays(file, PICKLES)
            return
    with ZipFile(path) as archive:
        entries = archive.infolist()
        if any(each.compress_type != ZIP_STORED for each in entries):
            raise ValueError("it is compressed")
        if sum(each.file_size for each in entries) > path.stat().st_size:
            raise ValueError("its parts lie in each other")
        for each in entries:
            if each.filename.endswith("data.pkl"):
                _refuse_bytearrays(BytesIO(archive.read(each)), 1)


def _refuse_bytearrays(file: IO[bytes], count: int) -> None:
    """The one thing that torch lets a pickle make of a size that is a mere number."""
    for _ in range(count):
        if any("bytearray" in str(argument) for _, argument, _ in pickletools.genops(file)):
            raise ValueError("it makes bytes of any number")
