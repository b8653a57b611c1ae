from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pictures import Outputs, list_pictures, name_outputs, same_place
from tests.data.sources.test_dicom import write_dicom

STEMS, ENDINGS = ["a", "A", "a_mask", "a_2", "a.png", "a.png_mask", "b"], ["", ".png", ".jpg", ".png_2"]
NAMES = st.builds("{}{}".format, st.sampled_from(STEMS), st.sampled_from(ENDINGS))


def test_pictures_are_known_by_ending_and_dicom_by_content(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt", ".a.png", "no_ending"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    write_dicom(tmp_path / "1.2.840", np.zeros((2, 2), np.uint8))
    found = [path.name for path in list_pictures(tmp_path)]
    assert found == ["1.2.840", "a.png", "b.JPG", "folder.png"]  # the last is for the reader to name


def test_results_are_named_like_their_pictures():
    (outputs,) = name_outputs([Path("in/a.b.jpg")], Path("out"))
    assert outputs == Outputs(Path("out/a.b.png"))
    assert outputs.mask == Path("out/a.b_mask.png")


@pytest.mark.parametrize("names", [["a.jpg", "a.png"], ["a.jpg", "A.png"], ["a.jpg", "a_mask.png"]])
def test_results_of_one_name_get_the_ending_too(names):
    first, second = name_outputs([Path(name) for name in names], Path("out"))
    assert first.overlay.name == "a.png"
    assert second.overlay.name == f"{names[1]}.png"


@given(st.lists(NAMES, unique=True, max_size=8))
def test_no_result_takes_the_place_of_another(names):
    found = name_outputs([Path(name) for name in sorted(names)], Path("out"))
    places = [str(path).casefold() for outputs in found for path in (outputs.overlay, outputs.mask)]
    assert len(set(places)) == len(places) == 2 * len(names)


def test_a_place_is_the_same_by_another_way(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert same_place(tmp_path / "link" / "a", tmp_path / "a")
    assert not same_place(tmp_path / "a", tmp_path / "b")
