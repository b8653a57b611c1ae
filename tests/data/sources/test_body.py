import numpy as np
import pytest

from data.cases import Case
from data.patches.grid import whole
from data.sources import SourceError
from data.sources.body import COARSE_UM, MARGIN, find_body
from data.sources.nifti import open_nifti
from data.sources.opening import build_reader
from tests.slides import make_cfg
from tests.volumes import oblique, write_nifti


def patient(table=True):
    """Values of a body (z 20..60, rows 20..60, columns 30..70) on a table, along our axes, in air."""
    values = np.full((80, 90, 100), -1000, np.int16)
    values[20:60, 20:60, 30:70] = 40
    values[30:50, 30:50, 40:60] = -900  # lungs
    values[10:12, 5:8, 5:8] = 300  # something small
    if table:
        values[:, 61:63, 10:95] = 100
    return values


def options(**more):
    return make_cfg(
        INPUT_INTENSITY="window", MODEL_IN_CHANNELS=1, DATASETS_CROP_TO="body", DATASETS_LAYOUT="pairs", **more
    )


@pytest.fixture
def case(tmp_path):
    affine = oblique((0, 1, 2), (-1, -1, 1), (1.5, 1.5, 1.5))  # columns, rows and z of ours
    write_nifti(tmp_path / "a.nii", patient().transpose(2, 1, 0), affine)
    write_nifti(tmp_path / "m.nii", (patient() == 40).astype(np.uint8).transpose(2, 1, 0), affine)
    return Case("a", tmp_path / "a.nii", tmp_path / "m.nii")


def test_the_box_holds_the_body_and_little_else(case):
    box = find_body(open_nifti(case.image), -500)
    far = (MARGIN + 1) * COARSE_UM / 1500 + 1
    for axis, (low, high) in enumerate([(20, 60), (20, 60), (30, 70)]):
        assert low - far <= box.start[axis] <= low
        assert high <= box.stop[axis] <= high + far


def test_image_and_labels_are_cut_alike_and_keep_their_place(case):
    with build_reader(options()).open_both(case) as (image, labels):
        box, shape = image.frame_level0
        assert shape == (80, 90, 100)
        assert image.shape == labels.shape == box.size != shape
        assert image.grid.oriented_shape == shape
        expected = patient()[box.slices] == 40
        np.testing.assert_array_equal(labels.read(whole(labels.shape))[..., 0], expected)


def test_without_a_body_or_a_volume_the_error_says_what_to_set(case, tmp_path):
    with pytest.raises(SourceError, match=r"a\.nii has no value above 4000; set DATASETS\.BODY_ABOVE"):
        build_reader(options(DATASETS_BODY_ABOVE=4000.0)).open_image(case)
    import PIL.Image

    PIL.Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"CROP_TO is 'body', which only volumes have"):
        build_reader(options()).open_image(Case("a", tmp_path / "a.png"))
