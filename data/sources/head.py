"""Brain MRI of one kind: each volume cut to the head, padded to a square, resized, its intensities normalised.

The steps are those of Buda, Saha and Mazurowski (2019) for FLAIR with the sequences before and after contrast.
"""

from dataclasses import dataclass

import numpy as np

from data.patches.grid import Box, whole
from data.sources.source import ArraySource, Source, SourceError
from data.sources.volume_grid import VolumeGrid

FAINT = 0.1  # of the largest value: what lies below is no head
PERCENTILES = (10, 99)  # of a volume's values, beyond which they are clipped
ORDER = 2  # of the splines that resize an image
# z-scores as pixels of 0 to 255: (mean + std * z) * 255, so that INPUT.MEAN and INPUT.STD of these give them back
MEAN, STD = 0.2, 0.16


@dataclass(frozen=True)
class HeadFrame:
    """Where the head lies in a volume (z, row, column), and the side in pixels of the square that it becomes."""

    box: Box
    side: int

    def cut(self, values: np.ndarray) -> np.ndarray:
        """The box of a volume (z, row, column[, channels]), with zeros on both sides of the shorter axis of a slice."""
        inside = values[self.box.slices]
        largest = max(self.box.size[1:])
        missing = [largest - n for n in self.box.size[1:]]
        sides = [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)]
        return np.pad(inside, sides[: values.ndim])

    def resize_mask(self, classes: np.ndarray) -> np.ndarray:
        """Class indices (z, row, column) of the volume, in the frame of `prepare_head`; by nearest neighbours."""
        square = self.cut(classes)
        places = ((np.arange(self.side) + 0.5) * square.shape[1] / self.side).astype(int)
        return square[:, places][:, :, places]


def find_head(values: np.ndarray, side: int) -> HeadFrame:
    """The frame of a volume (z, row, column, channels): the box of values that are not faint, and the side wanted.

    Raises SourceError for a volume of nothing.
    """
    bright = (values >= FAINT * float(values.max()) if values.max() > 0 else np.zeros(values.shape, bool)).any(-1)
    if not bright.any():
        raise SourceError("holds no value above 0; there is no head in it")
    spans = [np.unique(places) for places in np.nonzero(bright)]
    start = tuple(int(span[0]) for span in spans)
    return HeadFrame(Box(start, tuple(int(span[-1]) + 1 - a for span, a in zip(spans, start, strict=True))), side)


def prepare_head(values: np.ndarray, frame: HeadFrame) -> np.ndarray:
    """Z-scores (z, side, side, channels) float32 of a volume: cut, padded, resized, clipped, normalised by channel."""
    kept = np.where(values >= FAINT * float(values.max()), values, 0)
    resized = resize_slices(frame.cut(kept).astype(np.float32), frame.side)
    low, high = np.percentile(resized, PERCENTILES)
    resized = np.clip(resized, low, high)
    mean, std = (statistic(resized, (0, 1, 2), dtype=np.float64) for statistic in (np.mean, np.std))
    return ((resized - mean) / np.where(std > 0, std, 1)).astype(np.float32)


def resize_slices(values: np.ndarray, side: int) -> np.ndarray:
    """Square slices (z, n, n, channels) resized to `side` by splines, within the range of their values."""
    from scipy import ndimage

    if values.shape[1] == side:
        return values
    planes = np.moveaxis(values, -1, 1).reshape(-1, *values.shape[1:3])
    zoom = side / values.shape[1]
    resized = np.stack([ndimage.zoom(one, zoom, order=ORDER, mode="grid-constant", grid_mode=True) for one in planes])
    resized = np.clip(resized, values.min(), values.max())
    return np.moveaxis(resized.reshape(len(values), -1, side, side), 1, -1)


class HeadSource(ArraySource):
    """The head of a volume (z, side, side, channels) float32: z-scores on the scale of 0 to 255, by MEAN and STD."""

    def __init__(self, values: np.ndarray, side: int, grid: VolumeGrid | None = None):
        self.frame = find_head(values, side)
        self.shape_in_file, self.grid_in_file = values.shape[:-1], grid
        super().__init__(np.float32(255) * (np.float32(MEAN) + np.float32(STD) * prepare_head(values, self.frame)))

    def labels(self, labels: Source) -> Source:
        """Labels of the volume as labels of the head; they are read whole and closed."""
        with labels:
            return ArraySource(self.frame.resize_mask(labels.read(whole(labels.shape))[..., 0])[..., None])


def open_head(source: Source, name: str, side: int) -> HeadSource:
    """The head of an opened volume, which is read whole and closed; raises SourceError."""
    with source:
        if len(source.shape) != 3:
            raise SourceError(f"{name} has {len(source.shape)} axes; INPUT.HEAD_PX is for volumes, which have three")
        try:
            return HeadSource(source.read(whole(source.shape)), side, source.grid)
        except SourceError as error:
            raise SourceError(f"{name} {error}") from error
