"""The box of the body in a volume: what is left without air, table and blanket."""

import numpy as np

from data.patches.grid import Box
from data.sources.source import SourceError
from data.sources.volume_file import VolumeFile

COARSE_UM = 4000.0  # the body is sought on voxels of about this size
MARGIN = 2  # of these that are added around it


def find_body(file: VolumeFile, above: float) -> Box:
    """The box along our axes of the largest piece of what lies above a value; raises SourceError where nothing does.

    Thin things, such as the table, are taken off before pieces are told apart.
    """
    from scipy import ndimage

    shape = file.grid.oriented_shape
    steps = tuple(max(1, round(COARSE_UM / um)) for um in file.grid.spacing_um)
    starts = range(0, shape[0], steps[0])
    slices = (file.read(Box((start, 0, 0), (1, *shape[1:])))[0, :: steps[1], :: steps[2]] for start in starts)
    solid = np.stack([each > above for each in slices])
    opened = ndimage.binary_opening(solid, np.ones((1, 3, 3)))
    labels, count = ndimage.label(opened if opened.any() else solid)
    if count == 0:
        raise SourceError(f"{file.name} has no value above {above:g}; set DATASETS.BODY_ABOVE, or CROP_TO to nothing")
    largest = int(np.bincount(labels.ravel())[1:].argmax())
    found = ndimage.find_objects(labels)[largest]
    axes = list(zip(found, steps, shape, strict=True))
    start = tuple(max(0, (part.start - MARGIN) * step) for part, step, _ in axes)
    stop = tuple(min(n, (part.stop + MARGIN) * step) for part, step, n in axes)
    return Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))
