import numpy as np
import pytest
import tifffile

from data.cases import Case
from data.patches.grid import Box, whole
from data.sources import open_source
from data.sources.labels import by_threshold, open_labels
from data.sources.slice_stack import holds_stack, list_stack, open_stack
from data.sources.source import SourceError
from tests.brain_mri import head, write_patient
from tests.slides import noise


def volume(folder, slices=12):
    image, mask = noise(slices, 6, 7, 3), 160 * (noise(slices, 6, 7, seed=1) > 128).astype(np.uint8)
    write_patient(folder, image, mask)
    return image, mask


def test_slices_are_in_the_order_of_their_numbers_without_the_first_and_the_last(tmp_path):
    image, mask = volume(tmp_path / "p1")
    with open_source(tmp_path / "p1") as source:
        assert (source.shape, source.channels) == ((10, 6, 7), 3)
        np.testing.assert_array_equal(source.read(whole(source.shape)), image[1:-1])  # 10 comes after 9
        box = Box((2, 1, 3), (4, 5, 2))
        np.testing.assert_array_equal(source.read(box), image[1:-1][box.slices])
    case = Case("p1", tmp_path / "p1", tmp_path / "p1")
    with open_labels(case, (10, 6, 7), None, lambda values: by_threshold(values, 128)) as labels:
        np.testing.assert_array_equal(labels.read(whole(labels.shape))[..., 0], mask[1:-1] > 0)


def test_labels_of_another_size_than_their_volume_are_refused(tmp_path):
    volume(tmp_path / "p1")
    with pytest.raises(SourceError, match=r"its mask p1 is \(10, 6, 7\); the image p1 is \(10, 6, 8\)"):
        open_labels(Case("p1", tmp_path / "p1", tmp_path / "p1"), (10, 6, 8), None, None)


def test_a_folder_without_slices_of_its_name_is_no_stack(tmp_path):
    write_patient(tmp_path / "p1", *head(0))
    (tmp_path / "p1").rename(tmp_path / "p2")
    assert not holds_stack(tmp_path / "p2")
    assert not holds_stack(tmp_path / "missing")
    assert list_stack(write_patient(tmp_path / "p3", head(0)[0])).masks == ()


def remove(folder, numbers, kinds=("", "_mask")):
    for number in numbers:
        for kind in kinds:
            (folder / f"p1_{number}{kind}.tif").unlink()


def copy(folder, number, other):
    (folder / f"p1_{other}.tif").write_bytes((folder / f"p1_{number}.tif").read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: remove(folder, [5]), "lacks the slices 5 of 1 to 12"),
        (lambda folder: remove(folder, [1, 2]), "lacks the slices 1, 2 of 1 to 12"),
        (lambda folder: copy(folder, 5, "05"), r"has slice 5 twice: p1_05\.tif and p1_5\.tif"),
        (lambda folder: copy(folder, "12_mask", "13_mask"), r"has p1_13_mask\.tif, whose image is missing"),
        (lambda folder: remove(folder, [7], ["_mask"]), r"has p1_7\.tif, whose mask is missing"),
        (lambda folder: remove(folder, range(3, 13)), "has 2 slices"),
    ],
)
def test_a_stack_that_is_not_whole_is_named_with_what_is_wrong(tmp_path, change, message):
    volume(tmp_path / "p1")
    change(tmp_path / "p1")
    with pytest.raises(SourceError, match=message):
        list_stack(tmp_path / "p1")


def test_a_slice_of_another_size_is_named(tmp_path):
    volume(tmp_path / "p1")
    tifffile.imwrite(tmp_path / "p1" / "p1_6.tif", noise(6, 8, 3), photometric="rgb")
    with (
        open_stack(tmp_path / "p1") as source,
        pytest.raises(SourceError, match=r"p1_6\.tif is \(6, 8, 3\) .* p1_2\.tif is \(6, 7, 3\)"),
    ):
        source.read(whole(source.shape))
