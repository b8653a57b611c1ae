import numpy as np
import pytest
from PIL import Image

from data.cases import list_cases, list_test_cases
from data.manifest import case_files
from data.patches.grid import whole
from data.sources import SourceError
from data.sources.opening import build_reader
from tests.slides import make_cfg

NAMES = "Pixel Value, Class\n0, background\n1, bladder\n2, prostate\n"


def save_pair(folder, name, values, shape=(24, 32)):
    """A colour JPEG and a mask whose left part has the first value, the right part the second."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), 90, np.uint8)).save(folder / f"{name}.jpg")
    mask = np.repeat(np.array([values], np.uint8), shape[0], 0).repeat(shape[1] // 2, 1)
    Image.fromarray(mask).save(folder / f"{name}_mask.png")


@pytest.fixture
def export(tmp_path):
    for number, split in enumerate(("train", "train", "valid", "test")):
        save_pair(tmp_path / split, f"scan{number}_png.rf.a{number}", (0, 2))
        (tmp_path / split / "_classes.csv").write_text(NAMES)
    save_pair(tmp_path / "train", "scan0_png.rf.b7", (1, 2))
    return tmp_path


def cfg_of(folder, **options):
    named = {"DATASETS_CLASSES": ["prostate", "bladder"], "MODEL_IN_CHANNELS": 1} | options
    return make_cfg(DATASETS_LAYOUT="roboflow", DATASETS_WSI_FOLDER=folder, TEST_WSI_FOLDER=folder, **named)


def test_images_are_paired_with_masks_by_name_and_the_folder_is_their_split(export):
    table = list_cases(cfg_of(export))
    assert not table.problems
    assert [(case.id, case.split, case.group) for case in table.cases] == [
        ("scan0_png.rf.a0", "train", "scan0_png"),
        ("scan0_png.rf.b7", "train", "scan0_png"),
        ("scan1_png.rf.a1", "train", "scan1_png"),
        ("scan2_png.rf.a2", "valid", "scan2_png"),
    ]
    assert [case.id for case in list_test_cases(cfg_of(export, TEST_SPLIT="test")).cases] == ["scan3_png.rf.a3"]


def test_pixel_values_become_classes_by_their_names(export):
    case = list_cases(cfg_of(export)).cases[1]
    with build_reader(cfg_of(export)).open_both(case) as (image, labels):
        assert image.channels == 1
        assert np.unique(image.read(whole(image.shape))).tolist() == [90]
        found = labels.read(whole(labels.shape))[..., 0]
    assert found[:, :16].tolist() == [[2] * 16] * 24  # bladder is value 1 in the file and class 2
    assert found[:, 16:].tolist() == [[1] * 16] * 24


def test_the_tables_of_the_values_are_in_the_manifest(export):
    files = case_files(list_cases(cfg_of(export)).cases)
    assert [file.path.parent.name for file in files if file.kind == "table"] == ["train", "valid"]
    assert next(file.path.name for file in files if file.kind == "labels") == "scan0_png.rf.a0_mask.png"


def test_images_that_lie_in_the_folder_itself_have_no_split(tmp_path):
    save_pair(tmp_path, "a", (0, 1))
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, prostate\n")
    table = list_cases(cfg_of(tmp_path, DATASETS_CLASSES=["prostate"]))
    assert [(case.id, case.split) for case in table.cases] == [("a", "")]


def test_images_alone_can_be_predicted_without_a_table(tmp_path):
    save_pair(tmp_path, "a", (0, 1))
    (tmp_path / "a_mask.png").unlink()
    table = list_test_cases(cfg_of(tmp_path))
    assert [(case.id, case.labels) for case in table.cases] == [("a", None)]


def test_what_has_no_partner_is_named_and_the_others_go_on(export):
    (export / "train" / "scan1_png.rf.a1.jpg").unlink()
    (export / "valid" / "scan2_png.rf.a2_mask.png").unlink()
    table = list_cases(cfg_of(export))
    assert [case.id for case in table.cases] == ["scan0_png.rf.a0", "scan0_png.rf.b7"]
    assert {(each.id, each.message) for each in table.problems} == {
        ("scan1_png.rf.a1", "is a mask without an image"),
        ("scan2_png.rf.a2", "has no labels"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds masks but no _classes.csv"),
        ("Pixel Value, Class\n0, background\n1, gland\n2, prostate\n", "has class 'gland'"),
        ("Pixel Value, Class\n0, background\n2, prostate\n", r"DATASETS.CLASSES has \['bladder'\] besides"),
    ],
)
def test_a_table_that_does_not_fit_the_config_is_an_error_before_anything_slow(export, text, message):
    path = export / "valid" / "_classes.csv"
    path.unlink()
    if text:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        list_cases(cfg_of(export))


def test_a_mask_of_another_value_is_an_error_of_its_case(export):
    save_pair(export / "train", "scan1_png.rf.a1", (0, 9))
    case = list_cases(cfg_of(export)).cases[2]
    wanted = pytest.raises(SourceError, match=r"a1_mask\.png has value 9, which _classes\.csv does not name")
    with build_reader(cfg_of(export)).open_both(case) as (_, labels), wanted:
        labels.read(whole(labels.shape))


def test_copies_of_one_picture_in_two_splits_are_an_error(export):
    save_pair(export / "valid", "scan0_png.rf.c9", (0, 1))
    with pytest.raises(ValueError, match=r"in two splits: scan0_png\.rf\.a0 in 'train', scan0_png\.rf\.c9 in 'valid'"):
        list_cases(cfg_of(export))
