"""A cohort of brain MRI in the layout of kaggle_3m for the tests: discs for heads, a ball in each for the tumour."""

import numpy as np
import tifffile

SIDE = 64


def head(seed, slices=9, side=SIDE):
    """Image (z, row, column, 3) uint8 and mask (z, row, column) of 0 and 255: a head with a tumour, and its answer."""
    chance = np.random.default_rng(seed)
    z, row, column = np.indices((slices, side, side))
    centre = side / 2 + chance.uniform(-3, 3, 2)
    radius = side * chance.uniform(0.34, 0.4)
    inside = (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius**2
    place = centre + chance.uniform(-0.35, 0.35, 2) * radius
    height, size = slices / 2 + chance.uniform(-1, 1), side * chance.uniform(0.1, 0.14)
    tumour = inside & ((row - place[0]) ** 2 + (column - place[1]) ** 2 + (4 * (z - height)) ** 2 <= size**2)
    image = 70.0 * inside[..., None] + 90.0 * tumour[..., None] * np.array([0.3, 1.0, 0.5])
    image += chance.normal(0, 5, image.shape) * inside[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), 255 * tumour.astype(np.uint8)


def write_patient(folder, image, mask=None, first=1):
    """A folder of slices, compressed as in the set, with their masks if there are any."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(image, start=first):
        tifffile.imwrite(folder / f"{folder.name}_{number}.tif", picture, photometric="rgb", compression="lzw")
        if mask is not None:
            tifffile.imwrite(folder / f"{folder.name}_{number}_mask.tif", mask[number - first], compression="lzw")
    return folder


def write_cohort(folder, patients=12, **shape):
    """So many patients; {id: (image, mask)}."""
    cohort = {f"TCGA_{number:02d}": head(number, **shape) for number in range(patients)}
    for name, pair in cohort.items():
        write_patient(folder / name, *pair)
    return cohort
