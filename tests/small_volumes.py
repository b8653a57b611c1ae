"""Small volumes for the tests: a source, a case and a reader that opens what a dictionary holds."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from data.cases import Case
from data.sources.source import ArraySource, SourceError


def intensities(*shape, seed=0):
    """Random intensities (*shape, 1) float32 of 0 to 255, none of them a whole number."""
    return np.random.default_rng(seed).uniform(0, 255, (*shape, 1)).astype(np.float32)


def ball(shape, centre, radius, label=1):
    """Class indices of a ball."""
    places = np.indices(shape).reshape(len(shape), -1).T - np.asarray(centre)
    return (label * ((places**2).sum(1) <= radius**2)).astype(np.uint8).reshape(shape)


class Volumes:
    """A reader of {id: (image (*shape, channels), class indices (*shape))} that counts what it opens."""

    classes = ("a", "b")

    def __init__(self, pairs, spacing_um=None):
        self.pairs = pairs
        self.spacing_um = spacing_um
        self.opened = []

    @contextmanager
    def open_both(self, case):
        self.opened.append(case.id)
        if self.pairs[case.id] is None:
            raise SourceError(f"{case.image} is damaged")
        image, classes = self.pairs[case.id]
        yield ArraySource(image, self.spacing_um), ArraySource(classes[..., None])


def case_of(name):
    """A case of that id, whose files do not exist."""
    return Case(name, Path(f"{name}.nii"), Path(f"{name}_mask.nii"), group=name)
