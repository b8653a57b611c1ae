"""Small images and TIFF slides for the tests."""

import numpy as np
import tifffile

from config import load_cfg
from utils.rle import encode_rle


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def halved(image):
    rows, columns = (n // 2 * 2 for n in image.shape[:2])
    corners = [image[a:rows:2, b:columns:2].astype(np.uint16) for a in (0, 1) for b in (0, 1)]
    return (sum(corners) // 4).astype(np.uint8)


def pyramid(image, levels=3):
    """The image and its halvings, largest first."""
    found = [image]
    while len(found) < levels:
        found.append(halved(found[-1]))
    return found


def write_pyramid(path, image, levels=3, **options):
    """Levels as plain pages, with the pixel size 0.5 um in the tags; the levels as they were given to tifffile."""
    options = {"photometric": "rgb", "tile": (32, 32), "resolutionunit": "CENTIMETER"} | options
    found = pyramid(image, levels)
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(found):
            pixels_per_cm = 20_000 / 2**number
            scale = {"resolution": (pixels_per_cm, pixels_per_cm)}
            writer.write(level, subfiletype=int(number > 0), metadata=None, **scale, **options)
    return found


def write_ome(path, image, levels=3, spacing_um=(0.5, 0.5), **options):
    """OME-TIFF with the smaller levels in SubIFDs."""
    options = {"photometric": "rgb", "tile": (32, 32)} | options
    found = pyramid(image, levels)
    size = {"PhysicalSizeY": spacing_um[0], "PhysicalSizeX": spacing_um[1]}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(found[0], subifds=levels - 1, metadata={"axes": "YXS", **size}, **options)
        for level in found[1:]:
            writer.write(level, subfiletype=1, **options)
    return found


def write_labels_csv(path, masks):
    """Run lengths of {id: mask (row, column)}."""
    path.write_text("id,encoding\n" + "".join(f"{name},{encode_rle(mask)}\n" for name, mask in masks.items()))


def make_cfg(**options):
    """The defaults with options given as DATASETS_ID_CSV=...: the first underscore stands for the dot."""
    words = [word for key, value in options.items() for word in (key.replace("_", ".", 1), str(value))]
    return load_cfg("", words)
