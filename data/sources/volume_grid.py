"""Where a volume's file lies in the patient, and the way between its axes and ours."""

import itertools
from dataclasses import dataclass

import numpy as np

from data.patches.grid import Box

Matrix = tuple[tuple[float, ...], ...]

# ours, as of DICOM: z towards the head (+S), row towards the back (-A), column towards the left (-R)
WORLD_AXES, WORLD_SIGNS = (2, 1, 0), (1, -1, -1)


@dataclass(frozen=True)
class VolumeGrid:
    """The voxels of a file in the patient: `affine` (4 x 4) takes their indices to mm in right, anterior, superior.

    Our axes are z, row and column, towards head, back and left: `axes` says which axis of the file each of them
    is, the closest one, and `flipped` whether it runs the other way. `shape` is that of the file.
    """

    affine: Matrix
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    flipped: tuple[bool, ...]

    @property
    def oriented_shape(self) -> tuple[int, ...]:
        """The shape along our axes."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def oriented_affine(self) -> np.ndarray:
        """The matrix (4, 4) that takes indices along our axes to mm in right, anterior, superior."""
        ours = np.zeros((4, 4))
        ours[3, 3] = 1
        for own, (axis, is_flipped) in enumerate(zip(self.axes, self.flipped, strict=True)):
            ours[axis, own] = -1 if is_flipped else 1
            ours[axis, 3] = self.shape[axis] - 1 if is_flipped else 0
        return np.asarray(self.affine) @ ours

    @property
    def spacing_um(self) -> tuple[float, ...]:
        """Size of a voxel along our axes in um."""
        sides = np.linalg.norm(self.oriented_affine[:3, :3], axis=0)
        return tuple(round(1000 * float(mm), 3) for mm in sides)  # single precision, as of NIfTI, holds no more

    def to_oriented(self, array: np.ndarray) -> np.ndarray:
        """A view of an array along the file's axes as one along ours."""
        return array.transpose(self.axes)[self._turns]

    def to_file(self, array: np.ndarray) -> np.ndarray:
        """A view of an array along our axes as one along the file's."""
        return array[self._turns].transpose(np.argsort(self.axes))

    def box_in_file(self, box: Box) -> Box:
        """The box along the file's axes of one along ours."""
        start, size = [0] * 3, [0] * 3
        for own, (axis, is_flipped) in enumerate(zip(self.axes, self.flipped, strict=True)):
            start[axis] = self.shape[axis] - box.stop[own] if is_flipped else box.start[own]
            size[axis] = box.size[own]
        return Box(tuple(start), tuple(size))

    def box_oriented(self, box: Box) -> Box:
        """The box along our axes of one along the file's."""
        axes = list(zip(self.axes, self.flipped, strict=True))
        start = tuple(self.shape[axis] - box.stop[axis] if is_flipped else box.start[axis] for axis, is_flipped in axes)
        return Box(start, tuple(box.size[axis] for axis in self.axes))

    def farthest_mm(self, other: "VolumeGrid") -> float:
        """How far a corner of another volume, of the same shape along our axes, lies from ours at most."""
        corners = itertools.product(*((0, n - 1) for n in self.oriented_shape))
        places = np.array([(*corner, 1) for corner in corners]).T
        apart = (self.oriented_affine - other.oriented_affine) @ places
        return float(np.linalg.norm(apart[:3], axis=0).max())

    @property
    def _turns(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if is_flipped else 1) for is_flipped in self.flipped)


def make_grid(affine: np.ndarray, shape: tuple[int, ...]) -> VolumeGrid:
    """The grid of a file's affine and shape; raises ValueError for an affine that is no place of voxels."""
    matrix = np.asarray(affine, float)
    if not np.isfinite(matrix).all():
        raise ValueError(f"has {matrix[~np.isfinite(matrix)][0]} in its affine, so that nobody knows where it lies")
    sides = np.linalg.norm(matrix[:3, :3], axis=0)
    if sides.min() == 0 or abs(np.linalg.det(matrix[:3, :3] / sides)) < 1e-3:
        raise ValueError(f"has voxels of {tuple(sides.tolist())} mm in its affine, some axes of which are one")
    towards = (matrix[:3, :3] / sides)[list(WORLD_AXES)] * np.array(WORLD_SIGNS)[:, None]  # by our axis, by the file's
    ours = range(3)
    axes = max(itertools.permutations(ours), key=lambda axes: sum(abs(towards[own, axes[own]]) for own in ours))
    flipped = tuple(bool(towards[own, axes[own]] < 0) for own in ours)
    return VolumeGrid(tuple(map(tuple, matrix.tolist())), tuple(map(int, shape)), axes, flipped)
