"""Pictures with bright discs, and weights that find what is bright."""

import struct
import zlib

import numpy as np
from PIL import Image

from model.card import ModelCard
from tests.networks import write_mean

CONFIG = "DATASETS: {LAYOUT: pairs}\nTEST: {PATCH: 96, OVERLAP: 32}\n"
CARD = ModelCard("Mean", "", 3, ("disc",), (0.0,) * 3, (1.0,) * 3, 2.0, threshold=0.5, config=CONFIG)


def draw_disc(shape, centre=(0.5, 0.5), radius=0.3, channels=3, seed=0):
    """A disc of about 200 on about 60, uint8 (rows, columns[, 3]); places and radius in shares of the sides."""
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - centre[0] * shape[0], columns - centre[1] * shape[1])
    noise = np.random.default_rng(seed).integers(-20, 21, (*shape, channels))
    image = np.where(distance <= radius * min(shape), 200, 60)[..., None] + noise
    return image.astype(np.uint8) if channels > 1 else image[..., 0].astype(np.uint8)


def save_disc(path, shape=(90, 130), **options):
    """A picture of a disc at a path, and its pixels."""
    pixels = draw_disc(shape, **options)
    Image.fromarray(pixels).save(path)
    return pixels


def save_weights(folder, card=CARD):
    """An ONNX file of the mean over the channels, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_mean(folder / "mean.onnx", card)


def chunk(kind, content):
    """A part of a PNG file: length, kind, content and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
