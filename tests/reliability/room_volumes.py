"""Rooms in which the good inputs are volumes: NIfTI files with masks, or folders of DICOM slices."""

from pathlib import Path

import numpy as np

from model.card import ModelCard
from model.network_options import NetworkOptions
from tests.networks import write_mean
from tests.reliability.room import GOOD, ODD, Room
from tests.volumes import write_nifti, write_series

SHAPE = (12, 14, 10)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
CARD = ModelCard(
    architecture="monai-UNet",
    encoder_name="",
    in_channels=1,
    classes=("object",),
    mean=(0.0,),
    std=(1.0,),
    reduction=1.0,
    threshold=0.5,
    intensity=("window", 0.0, 255.0),
    patch=(16, 16, 16),
    network=NetworkOptions(axes=3, channels=(4, 8)),
)


def draw_volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright box in noise, (x, y, z) int16, and its mask uint8."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:8, 4 : 9 + seed, 2:7] = 1
    noise = np.random.default_rng(seed).integers(-20, 21, SHAPE)
    return (60 + 140 * mask + noise).astype(np.int16), mask


def furnish_volumes(folder: Path) -> Room:
    """A task of the Decathlon with two good volumes, without masks: to score takes seconds."""
    room = _with_network(folder)
    (room.slides / "imagesTs").mkdir(parents=True)
    for seed, name in enumerate(GOOD):
        write_nifti(image_path(room, name), draw_volume(seed)[0], AFFINE)
    return room


def furnish_series(folder: Path) -> Room:
    """Two good folders of DICOM slices."""
    room = _with_network(folder)
    for seed, name in enumerate(GOOD):
        write_series(room.slides / name, draw_volume(seed)[0], AFFINE)
    return room


def image_path(room: Room, name: str = ODD, suffix: str = ".nii.gz") -> Path:
    """The file of a volume."""
    return room.slides / "imagesTs" / f"{name}{suffix}"


def _with_network(folder: Path) -> Room:
    room = Room(folder)
    room.weights.mkdir(parents=True)
    write_mean(room.weights / "mean.onnx", CARD)
    return room
