import json
import logging

import pytest

from data.cases import list_cases, list_test_cases, match_files
from tests.slides import make_cfg
from tests.volumes import phantom, write_series


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def task(folder, count=10):
    for number in range(count):
        touch(folder, f"imagesTr/brain_{number:03d}.nii.gz", f"labelsTr/brain_{number:03d}.nii.gz")
    return folder


def cfg_of(folder, layout="decathlon", **options):
    return make_cfg(DATASETS_LAYOUT=layout, DATASETS_WSI_FOLDER=folder, TEST_WSI_FOLDER=folder, **options)


def splits(table):
    return {
        split: sorted(case.id for case in table.cases if case.split == split) for split in ("train", "valid", "test")
    }


def test_a_task_gives_its_volumes_with_their_masks(tmp_path):
    touch(task(tmp_path), "imagesTr/._brain_000.nii.gz", "labelsTr/.DS_Store", "imagesTr/notes.txt")
    table = list_cases(cfg_of(tmp_path))
    assert [case.id for case in table.cases] == [f"brain_{number:03d}" for number in range(10)]
    assert {(case.image.name, case.labels.name) for case in table.cases} == {
        (f"{case.id}.nii.gz", f"{case.id}.nii.gz") for case in table.cases
    }
    assert table.problems == []


@pytest.mark.parametrize(("count", "learnt", "held_out"), [(260, 208, 52), (100, 80, 20), (10, 8, 2), (2, 1, 1)])
def test_a_seeded_fifth_is_held_out(tmp_path, count, learnt, held_out):
    found = splits(list_cases(cfg_of(task(tmp_path, count))))
    assert (len(found["train"]), len(found["valid"])) == (learnt, held_out)
    assert found == splits(list_cases(cfg_of(tmp_path)))
    assert count < 3 or found != splits(list_cases(cfg_of(tmp_path, SEED=1)))
    assert found["valid"] == [case.id for case in list_test_cases(cfg_of(tmp_path, TEST_SPLIT="valid")).cases]


def test_no_split_is_drawn_where_folds_are_wanted_or_said(tmp_path):
    task(tmp_path)
    (tmp_path / "ids.csv").write_text("id,split\nbrain_001,valid\nbrain_002,\n", encoding="utf-8")
    for options in ({"DATASETS_SPLIT_SHARE": 0.0}, {"DATASETS_FOLD_GROUPS": [["brain_001"], ["brain_002"]]}):
        assert {case.split for case in list_cases(cfg_of(tmp_path, **options)).cases} == {""}
    table = list_cases(cfg_of(tmp_path, DATASETS_ID_CSV=tmp_path / "ids.csv"))
    assert [case.split for case in table.cases] == ["valid", ""]


def test_unpaired_files_are_errors(tmp_path):
    touch(task(tmp_path), "imagesTr/alone.nii.gz", "labelsTr/other.nii.gz")
    table = list_cases(cfg_of(tmp_path))
    assert len(table.cases) == 10
    assert sorted((failure.id, failure.message) for failure in table.problems) == [
        ("alone", "has no mask of its name in labelsTr"),
        ("other", "has no image of its name in imagesTr"),
    ]


def test_test_volumes_are_predicted_and_never_learnt_from(tmp_path):
    touch(task(tmp_path), "imagesTs/brain_900.nii.gz", "imagesTs/brain_901.nii")
    assert "brain_900" not in {case.id for case in list_cases(cfg_of(tmp_path)).cases}
    assert len(list_test_cases(cfg_of(tmp_path)).cases) == 12
    table = list_test_cases(cfg_of(tmp_path, TEST_SPLIT="test"))
    assert [(case.id, case.labels) for case in table.cases] == [("brain_900", None), ("brain_901", None)]


def test_a_folder_that_is_no_task_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"holds no volume in imagesTr or imagesTs; give the folder of a Decathlon task"
    ):
        list_cases(cfg_of(tmp_path))


def test_the_description_is_compared_with_what_is_there(tmp_path, caplog):
    content = {
        "labels": {"0": "background", "1": "front", "2": "back"},
        "training": [{"image": f"./imagesTr/brain_{number:03d}.nii.gz"} for number in range(12)],
    }
    (task(tmp_path) / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"dataset\.json has the classes \['front', 'back'\], DATASETS\.CLASSES names"):
        list_cases(cfg_of(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert len(list_cases(cfg_of(tmp_path, DATASETS_CLASSES=["front", "back"])).cases) == 10
    assert "names 2 volumes that are not there: brain_010.nii.gz, brain_011.nii.gz" in caplog.text
    for wrong in ("[1]", '{"labels": {"x": "y"}}', '{"training": [1]}', "{"):
        (tmp_path / "dataset.json").write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match=r"dataset\.json is no description"):
            list_cases(cfg_of(tmp_path, DATASETS_CLASSES=["front", "back"]))


def test_a_folder_of_slices_is_a_patient_with_the_mask_of_its_name(tmp_path):
    for name in ("p1", "p2", "p3"):
        write_series(tmp_path / name / "study" / "ct", phantom((2, 3, 2)))
    touch(tmp_path, "masks/p1.nii.gz", "masks/p2.nii", "masks/p9.nii.gz", "notes/readme.txt", ".p4/a.dcm")
    table = list_cases(cfg_of(tmp_path, "series", DATASETS_SPLIT_SHARE=0.5))
    assert [(case.id, case.image, case.labels) for case in table.cases] == [
        ("p1", tmp_path / "p1", tmp_path / "masks" / "p1.nii.gz"),
        ("p2", tmp_path / "p2", tmp_path / "masks" / "p2.nii"),
    ]
    assert sorted(case.split for case in table.cases) == ["train", "valid"]
    assert sorted((failure.id, failure.message) for failure in table.problems) == [
        ("p3", "has no labels"),
        ("p9", f"has no image of its name in {tmp_path.name}"),
    ]


def test_masks_may_lie_beside_the_slices(tmp_path):
    write_series(tmp_path / "p1" / "ct", phantom((2, 3, 2)))
    touch(tmp_path, "p1/effusion.nii.gz")
    (case,) = list_cases(cfg_of(tmp_path, "series", DATASETS_MASKS="{name}/*.nii.gz")).cases
    assert case.labels == tmp_path / "p1" / "effusion.nii.gz"


def test_volumes_come_in_pairs_too_in_any_format(tmp_path):
    write_series(tmp_path / "scans" / "d", phantom((2, 3, 2)))
    touch(tmp_path, *(f"scans/{name}" for name in ("a.nii.gz", "b.nrrd", "c.mha")))
    touch(tmp_path, *(f"masks/{name}" for name in ("a.nii.gz", "b.nii", "c.nii.gz", "d.nii.gz")))
    for pattern, ids in (("scans/{name}.*", "abc"), ("scans/{name}", "d")):
        table = list_cases(cfg_of(tmp_path, "pairs", DATASETS_IMAGES=pattern))
        assert [(case.id, case.labels.name[0]) for case in table.cases] == [(each, each) for each in ids]


@pytest.mark.parametrize(
    ("file", "pattern", "name"),
    [
        ("a.nii.gz", "{name}.*", "a"),
        ("A.NII.GZ", "{name}.*", "A"),
        ("a.b.nii", "{name}.*", "a.b"),
        ("a.nii.gz", "{name}.nii.gz", "a"),
        ("ct_a_1.nii.gz", "ct_{name}_1.*", "a"),
        ("a.ome.tif", "{name}.*", "a.ome"),
    ],
)
def test_an_ending_of_two_parts_is_no_part_of_the_name(tmp_path, file, pattern, name):
    touch(tmp_path, file)
    assert [found for (_, found), _ in match_files(tmp_path, pattern)] == [name]


def patients(folder, names):
    for name in names:
        touch(folder, *(f"{name}/{name}_{number}{kind}.tif" for number in (1, 2, 3) for kind in ("", "_mask")))
    return folder


def test_of_110_patients_the_ten_that_validate_are_those_that_were_published(tmp_path):
    names = sorted(f"TCGA_{number * 7919 % 9973:04d}" for number in range(110))
    table = list_cases(cfg_of(patients(tmp_path, names), "kaggle_3m"))
    places = [81, 14, 3, 94, 35, 31, 28, 17, 13, 86]
    assert splits(table)["valid"] == sorted(names[place] for place in places)
    assert len(splits(table)["train"]) == 100
    assert {(case.image, case.labels, case.group) for case in table.cases} == {
        (tmp_path / name, tmp_path / name, name) for name in names
    }


def test_a_patient_whose_slices_are_not_whole_is_a_problem_but_counts_in_the_draw(tmp_path):
    names = [f"p{number:02d}" for number in range(12)]
    patients(tmp_path, names)
    touch(tmp_path, "README.md", "data.csv", ".hidden/x_1.tif", "other/notes.tif")
    whole = splits(list_cases(cfg_of(tmp_path, "kaggle_3m")))["valid"]
    (tmp_path / "p04" / "p04_2.tif").unlink()
    table = list_cases(cfg_of(tmp_path, "kaggle_3m"))
    assert [(each.id, each.message) for each in table.problems] == [
        ("p04", "has p04_2_mask.tif, whose image is missing")
    ]
    assert splits(table)["valid"] == [name for name in whole if name != "p04"]


def test_no_patient_is_drawn_where_there_are_too_few_or_folds_are_wanted(tmp_path, caplog):
    patients(tmp_path, ["p1", "p2", "p3"])
    assert {case.split for case in list_cases(cfg_of(tmp_path, "kaggle_3m")).cases} == {""}
    assert "3 patients are too few to draw DATASETS.VALID_CASES 10" in caplog.text
    caplog.clear()
    assert {case.split for case in list_cases(cfg_of(tmp_path, "kaggle_3m", DATASETS_VALID_CASES=0)).cases} == {""}
    assert caplog.text == ""
    assert len(splits(list_cases(cfg_of(tmp_path, "kaggle_3m", DATASETS_VALID_CASES=1)))["valid"]) == 1


def test_a_patient_without_masks_can_be_predicted_but_not_learnt_from(tmp_path):
    patients(tmp_path, ["p1", "p2"])
    for number in (1, 2, 3):
        (tmp_path / "p2" / f"p2_{number}_mask.tif").unlink()
    cfg = cfg_of(tmp_path, "kaggle_3m", DATASETS_VALID_CASES=0)
    assert {case.id: case.labels is None for case in list_test_cases(cfg).cases} == {"p1": False, "p2": True}
    assert [each.message for each in list_cases(cfg).problems] == ["has no labels"]
