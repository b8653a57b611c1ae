import json

import pytest

from config import ConfigError
from config.check import check_cfg
from data.cases import LOOSE_DICOM, Case, list_cases, list_test_cases, list_unlabelled_cases, match_files
from tests.slides import make_cfg
from utils.tables import TableError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def slides_cfg(tmp_path, csv="", ids="", **options):
    """A config whose slides lie in tmp_path/slides, with label and id tables of the given text."""
    for name, text in (("labels", csv), ("ids", ids)):
        (tmp_path / f"{name}.csv").write_text(text)
    if ids:
        options["DATASETS_ID_CSV"] = str(tmp_path / "ids.csv")
    folder, labels = str(tmp_path / "slides"), str(tmp_path / "labels.csv")
    paths = {"DATASETS_WSI_FOLDER": folder, "DATASETS_LABELS_CSV": labels, "TEST_WSI_FOLDER": folder}
    return make_cfg(**paths, **options)


def pairs_cfg(tmp_path, **options):
    folder = str(tmp_path)
    return make_cfg(DATASETS_LAYOUT="pairs", DATASETS_WSI_FOLDER=folder, TEST_WSI_FOLDER=folder, **options)


def ids(table):
    return [case.id for case in table.cases]


def problems(table):
    return [(problem.id, problem.file, problem.message) for problem in table.problems]


def test_slides_are_paired_with_the_rows_of_the_table_and_sorted(tmp_path):
    touch(tmp_path / "slides", "b.tiff", "a.tif", "C.TIF", "notes.txt", "b.png")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\nb,3 4\nC,\n"))
    assert table.problems == []
    assert table.cases == [
        Case("C", tmp_path / "slides/C.TIF", {"object": ""}, group="C"),
        Case("a", tmp_path / "slides/a.tif", {"object": "1 2"}, group="a"),
        Case("b", tmp_path / "slides/b.tiff", {"object": "3 4"}, group="b"),
    ]


def test_slides_of_scanner_makers_are_cases_and_their_companion_files_are_none(tmp_path):
    touch(
        tmp_path / "slides", "a.svs", "b.NDPI", "c.mrxs", "c/Slidedat.ini", "c/Data0000.dat", "d.scn", "e.bif", "e.xml"
    )
    test = list_test_cases(slides_cfg(tmp_path))
    assert ids(test) == ["a", "b", "c", "d", "e"]
    assert not test.problems


def test_a_folder_of_dicom_files_is_a_case_of_the_folder_s_name(tmp_path):
    touch(tmp_path / "slides", "s.1/2.dcm", "s.1/1.DCM", "s.1/._0.dcm", "s.1/notes.txt", "empty/notes.txt", ".x/1.dcm")
    test = list_test_cases(slides_cfg(tmp_path))
    assert test.cases == [Case("s.1", tmp_path / "slides/s.1/1.DCM", group="s.1")]
    assert not test.problems


def test_dicom_files_without_a_folder_of_their_own_are_a_problem(tmp_path):
    touch(tmp_path / "slides", "a.tif", "1.dcm")
    test = list_test_cases(slides_cfg(tmp_path))
    assert ids(test) == ["a"]
    assert problems(test) == [("1", "1.dcm", LOOSE_DICOM)]


def test_the_ending_ome_tif_is_no_part_of_an_id(tmp_path):
    touch(tmp_path / "slides", "a.ome.tif", "b.OME.TIFF", "c.d.tif", "e.ome.svs")
    touch(tmp_path / "masks", "a.png", "b.ome.tif")
    table = list_cases(slides_cfg(tmp_path, DATASETS_LABELS_FOLDER=str(tmp_path / "masks")))
    assert {case.id: case.labels.name for case in table.cases} == {"a": "a.png", "b": "b.ome.tif"}
    assert problems(table) == [("c.d", "c.d.tif", "has no labels"), ("e.ome", "e.ome.svs", "has no labels")]


@pytest.mark.parametrize("name", ["001", "1e5", "NA", "nan", "1.0", "None", "-5"])
def test_ids_that_look_like_numbers_or_gaps_stay_text(tmp_path, name):
    touch(tmp_path / "slides", f"{name}.tif")
    cfg = slides_cfg(tmp_path, f"id,encoding\n{name},1 2\n", f"id,group\n{name},007\n")
    table = list_cases(cfg)
    assert [(case.id, case.labels, case.group) for case in table.cases] == [(name, {"object": "1 2"}, "007")]
    assert not table.problems


def test_hidden_files_are_no_cases(tmp_path):
    touch(tmp_path / "slides", "a.tif", "._a.tif", ".tif")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\n"))
    assert ids(table) == ["a"]
    assert not table.problems


def test_the_column_of_the_run_lengths_and_the_classes_are_options(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    text = "id,class,rle\na,cortex,1 2\na,medulla,5 6\n"
    cfg = slides_cfg(tmp_path, text, DATASETS_RLE_COLUMN="rle", DATASETS_CLASSES=["cortex", "medulla", "vessel"])
    assert list_cases(cfg).cases[0].labels == {"cortex": "1 2", "medulla": "5 6"}


def test_a_table_without_the_column_is_an_error_naming_both(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    with pytest.raises(TableError, match=r"labels\.csv has no column \['encoding'\]"):
        list_cases(slides_cfg(tmp_path, "id,rle\na,1 2\n"))


def test_an_id_in_two_files_is_one_problem_a_file_and_no_case(tmp_path):
    touch(tmp_path / "slides", "a.tif", "a.tiff", "b.tif")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\nb,3 4\n"))
    assert ids(table) == ["b"]
    assert problems(table) == [(("a"), f"a.{end}", "is one of several files with this id") for end in ("tif", "tiff")]


def test_a_row_that_repeats_an_id_is_a_problem_and_neither_is_used(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\nb,3 4\na,9 9\n"))
    assert ids(table) == ["b"]
    assert problems(table) == [("a", "labels.csv", "line 4 repeats this id")]


def test_a_row_without_a_slide_is_a_problem(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\ngone,3 4\n"))
    assert ids(table) == ["a"]
    assert problems(table) == [("gone", "labels.csv", "line 3 has no image of this id beside it")]


def test_a_slide_without_a_row_cannot_be_learnt_from_but_can_be_predicted(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    cfg = slides_cfg(tmp_path, "id,encoding\na,1 2\n", TEST_LABELS_CSV=str(tmp_path / "labels.csv"))
    table = list_cases(cfg)
    assert ids(table) == ["a"]
    assert problems(table) == [("b", "b.tif", "has no labels")]
    test = list_test_cases(cfg)
    assert [case.labels for case in test.cases] == [{"object": "1 2"}, None]
    assert not test.problems


def test_an_unknown_class_is_a_problem_that_names_the_known(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    table = list_cases(slides_cfg(tmp_path, "id,class,encoding\na,objekt,1 2\n"))
    assert ids(table) == []
    assert problems(table) == [("a", "labels.csv", "line 2 has class 'objekt'; choose of ['object']")]


def test_slides_without_a_table_have_no_labels(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    assert list_test_cases(slides_cfg(tmp_path)).cases[0].labels is None


def test_a_folder_of_masks_takes_the_place_of_the_table(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    touch(tmp_path / "masks", "a.png", "c.png", "b.txt")
    table = list_cases(slides_cfg(tmp_path, DATASETS_LABELS_FOLDER=str(tmp_path / "masks")))
    assert [(case.id, case.labels) for case in table.cases] == [("a", tmp_path / "masks/a.png")]
    assert problems(table) == [("b", "b.tif", "has no labels")]


def test_label_files_of_every_kind_are_found_by_their_name(tmp_path):
    names = ["a.tif", "b.tif", "c.d.tif", "e.tif", "f.tif"]
    touch(tmp_path / "slides", *names)
    files = ["a.geojson", "b.GeoJSON.gz", "c.d.xml", "e.json", "f.tiff", "g.xml", "a.txt", "._b.xml", ".xml"]
    touch(tmp_path / "labels", *files)
    table = list_cases(slides_cfg(tmp_path, DATASETS_LABELS_FOLDER=str(tmp_path / "labels")))
    assert [case.labels.name for case in table.cases] == files[:5]
    assert not table.problems


def test_ome_slides_and_masks_pair_with_label_files_of_their_id(tmp_path):
    touch(tmp_path / "slides", "a.ome.tif", "b.svs")
    touch(tmp_path / "labels", "a.geojson", "b.ome.tif")
    table = list_cases(slides_cfg(tmp_path, DATASETS_LABELS_FOLDER=str(tmp_path / "labels")))
    assert [case.labels.name for case in table.cases] == ["a.geojson", "b.ome.tif"]


def test_label_files_may_lie_beside_the_slides(tmp_path):
    touch(tmp_path / "slides", "a.tif", "a.xml", "b.tif", "b.png", "c.tif", "c.xml", "c.geojson", "d.tif")
    table = list_cases(slides_cfg(tmp_path, DATASETS_LABELS_FOLDER=str(tmp_path / "slides")))
    assert [case.labels.name for case in table.cases] == ["a.xml", "b.png"]
    assert problems(table) == [
        ("c", "c.xml", "is one of several label files of this id"),
        ("d", "d.tif", "has no labels"),
    ]


def coco_cfg(tmp_path, names, **options):
    images = [{"id": i, "file_name": name, "height": 4, "width": 5} for i, name in enumerate(names)]
    content = {"images": images, "annotations": [], "categories": []}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return {"DATASETS_LABELS_COCO": str(tmp_path / "coco.json"), **options}


def test_a_coco_file_takes_the_place_of_the_table(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif", "c.tif")
    cfg = slides_cfg(tmp_path, **coco_cfg(tmp_path, ["a.tif", "train/b.png", "val/c.tif", "test/c.tif"]))
    table = list_cases(cfg)
    assert [(case.id, case.labels.image) for case in table.cases] == [("a", "a.tif"), ("b", "train/b.png")]
    message = "is one of several images of this name: ['val/c.tif', 'test/c.tif']"
    assert problems(table) == [("c", "coco.json", message)]
    assert [case.id for case in list_test_cases(cfg).cases] == ["a", "b"]


def test_pairs_find_their_labels_in_a_coco_file_by_folder_and_name(tmp_path):
    touch(tmp_path, "images/v1/x.png", "images/v2/x.png", "images/v2/y.png", "masks/v1/x.png")
    options = coco_cfg(tmp_path, ["v1/x.png", "v2/x.png"], DATASETS_IMAGES="images/{group}/{name}.png")
    table = list_cases(pairs_cfg(tmp_path, DATASETS_MASKS="", **options))
    assert [(case.id, case.labels.image) for case in table.cases] == [("v1_x", "v1/x.png"), ("v2_x", "v2/x.png")]
    assert problems(table) == [("v2_y", "y.png", "has no labels")]


def test_a_file_that_is_no_coco_file_is_named(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    (tmp_path / "coco.json").write_text("[]")
    with pytest.raises(ValueError, match=r"coco\.json holds no JSON object"):
        list_cases(slides_cfg(tmp_path, DATASETS_LABELS_COCO=str(tmp_path / "coco.json")))


def test_pairs_may_have_outlines(tmp_path):
    touch(tmp_path, "images/x.png", "images/y.png", "outlines/x.geojson", "outlines/y.xml", "outlines/z.txt")
    table = list_cases(pairs_cfg(tmp_path, DATASETS_MASKS="outlines/{name}.*"))
    assert [case.labels.name for case in table.cases] == ["x.geojson", "y.xml"]


def test_the_id_table_picks_cases_and_gives_groups_and_splits(tmp_path):
    touch(tmp_path / "slides", *(f"{name}.tif" for name in "abcd"))
    csv = "id,encoding\n" + "".join(f"{name},1 2\n" for name in "abcd")
    cfg = slides_cfg(tmp_path, csv, "id,group,split\na,p1,\nb,p1,train\nc,,test\n", TEST_SPLIT="test")
    table = list_cases(cfg)
    assert [(case.id, case.group, case.split) for case in table.cases] == [("a", "p1", ""), ("b", "p1", "train")]
    assert not table.problems
    test = list_test_cases(cfg)
    assert [(case.id, case.group, case.split) for case in test.cases] == [("c", "c", "test")]


def test_without_a_split_to_test_every_case_is_predicted(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    assert ids(list_test_cases(slides_cfg(tmp_path, ids="id,split\na,train\nb,test\n"))) == ["a", "b"]


def test_an_id_without_a_file_is_a_problem_of_its_own_split_alone(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    text = "id,split\na,train\nb,test\ngone1,train\ngone2,test\n"
    cfg = slides_cfg(tmp_path, "id,encoding\na,1 2\n", text, TEST_SPLIT="test")
    assert problems(list_cases(cfg)) == [("gone1", "ids.csv", "has no image file")]
    assert problems(list_test_cases(cfg)) == [("gone2", "ids.csv", "has no image file")]


def test_a_slide_held_out_for_the_test_needs_no_labels(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    table = list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\n", "id,split\na,train\nb,test\n"))
    assert ids(table) == ["a"]
    assert not table.problems


def test_an_id_named_twice_is_a_problem_and_is_on_no_side(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    cfg = slides_cfg(tmp_path, "id,encoding\na,1 2\nb,1 2\n", "id,split\na,train\nb,train\na,test\n", TEST_SPLIT="test")
    assert ids(list_cases(cfg)) == ["b"]
    assert ids(list_test_cases(cfg)) == []
    assert problems(list_cases(cfg)) == [("a", "ids.csv", "is named by several rows")]


def test_what_the_id_table_leaves_out_is_no_problem(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif", "b.tiff", "c.tif")
    assert not list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\ngone,1 2\n", "id\na\n")).problems


def test_each_case_may_be_its_own_group(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    csv = "id,encoding\na,1 2\nb,1 2\n"
    cfg = slides_cfg(tmp_path, csv, "id,group\na,p\nb,p\n", DATASETS_GROUP_BY="id")
    assert [case.group for case in list_cases(cfg).cases] == ["a", "b"]


def test_any_column_of_the_id_table_may_group_the_cases(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif", "c.tif")
    csv = "id,encoding\na,1 2\nb,1 2\nc,1 2\n"
    cfg = slides_cfg(tmp_path, csv, "id,group,patient\na,x,007\nb,y,007\nc,z,\n", DATASETS_GROUP_BY="patient")
    table = list_cases(cfg)
    assert [(case.id, case.group) for case in table.cases] == [("a", "007"), ("b", "007")]
    assert problems(table) == [("c", "ids.csv", "has no patient")]


def test_a_column_to_group_by_that_the_id_table_lacks_is_an_error(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    with pytest.raises(TableError, match=r"ids\.csv has no column \['patient'\]; it has \['id', 'group'\]"):
        list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\n", "id,group\na,x\n", DATASETS_GROUP_BY="patient"))


@pytest.mark.parametrize("splits", [("train", "test"), ("", "valid"), ("valid", "test")])
def test_a_group_with_cases_in_two_splits_is_an_error_naming_both(tmp_path, splits):
    touch(tmp_path / "slides", "a.tif", "b.tif")
    csv, ids_csv = "id,encoding\na,1 2\nb,1 2\n", "id,group,split\na,p,{}\nb,p,{}\n".format(*splits)
    with pytest.raises(ValueError, match=r"ids\.csv parts group 'p': ") as error:
        list_cases(slides_cfg(tmp_path, csv, ids_csv))
    assert f"a in {splits[0] or 'train'!r}" in str(error.value)
    assert f"b in {splits[1]!r}" in str(error.value)
    assert len(list_cases(slides_cfg(tmp_path, csv, ids_csv, DATASETS_GROUP_BY="id")).cases) == 2 - ("test" in splits)


def test_frames_of_a_video_in_train_and_test_are_an_error_though_no_column_names_the_video(tmp_path):
    touch(tmp_path, "v1/f1.png", "v1/f2.png")
    (tmp_path / "ids.csv").write_text("id,split\nv1_f1,train\nv1_f2,test\n")
    cfg = pairs_cfg(tmp_path, DATASETS_IMAGES="{group}/{name}.png", DATASETS_ID_CSV=str(tmp_path / "ids.csv"))
    with pytest.raises(ValueError, match="parts group 'v1': v1_f2 in 'test', v1_f1 in 'train'"):
        list_cases(cfg)


def test_a_split_of_another_name_is_not_taken_for_training(tmp_path):
    touch(tmp_path / "slides", "a.tif")
    with pytest.raises(
        ValueError, match=r"ids\.csv has split 'val' for a; choose of \['train', 'valid', 'test', 'unlabelled'\]"
    ):
        list_cases(slides_cfg(tmp_path, "id,encoding\na,1 2\n", "id,split\na,val\n"))


def unlabelled_cfg(tmp_path, ids=""):
    """Labelled slides a and b in one folder, x and y without labels in another."""
    touch(tmp_path / "slides", "a.tif", "b.tif")
    touch(tmp_path / "more", "x.tif", "y.tif")
    more = {"DATASETS_UNLABELLED_FOLDER": str(tmp_path / "more"), "DATASETS_LABELS_FOLDER": str(tmp_path / "slides")}
    return slides_cfg(tmp_path, ids=ids, **more)


def test_unlabelled_slides_are_all_of_their_folder_or_the_rows_of_their_split(tmp_path):
    found = list_unlabelled_cases(unlabelled_cfg(tmp_path))
    assert [(case.id, case.group, case.labels) for case in found.cases] == [("x", "x", None), ("y", "y", None)]
    text = "id,group,split,spacing_um\na,p,,\nb,q,,\ny,p,unlabelled,0.5\nz,p,unlabelled,\n"
    found = list_unlabelled_cases(unlabelled_cfg(tmp_path, text))
    assert [(case.id, case.group, case.spacing_um) for case in found.cases] == [("y", "p", 0.5)]
    assert problems(found) == [("z", "ids.csv", "has no image file")]


def test_unlabelled_slides_that_the_table_has_in_another_split_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"names \['y'\] of .*more; give these the split 'unlabelled'"):
        list_unlabelled_cases(unlabelled_cfg(tmp_path, "id,split\na,train\nb,train\ny,test\n"))


def test_unlabelled_rows_are_not_learnt_from_and_may_be_of_a_group_that_is_but_not_of_one_to_test(tmp_path):
    touch(tmp_path / "slides", "a.tif", "b.tif", "x.tif")
    labels, text = "id,encoding\na,1 2\nb,1 2\n", "id,group,split\na,p,{}\nb,q,{}\nx,p,unlabelled\n"
    assert ids(list_cases(slides_cfg(tmp_path, labels, text.format("train", "train")))) == ["a", "b"]
    assert ids(list_cases(slides_cfg(tmp_path, labels, text.format("valid", "train")))) == ["a", "b"]
    with pytest.raises(ValueError, match="parts group 'p': a in 'test', x in 'unlabelled'"):
        list_cases(slides_cfg(tmp_path, labels, text.format("test", "train")))


def test_pairs_are_matched_by_name(tmp_path):
    touch(
        tmp_path, "images/x1.png", "images/x2.JPG", "images/x3.png", "masks/x1.png", "masks/x2.bmp", "images/._x1.png"
    )
    touch(tmp_path, "images/read.me", "masks/x9.png", "images/deep/x1.png")
    table = list_cases(pairs_cfg(tmp_path))
    assert table.cases == [
        Case("x1", tmp_path / "images/x1.png", tmp_path / "masks/x1.png", group="x1"),
        Case("x2", tmp_path / "images/x2.JPG", tmp_path / "masks/x2.bmp", group="x2"),
    ]
    assert problems(table) == [("x9", "x9.png", "is a mask without an image"), ("x3", "x3.png", "has no labels")]


def test_group_and_name_make_the_id_and_pair_the_masks(tmp_path):
    touch(
        tmp_path,
        "v1/frames/f1.png",
        "v1/truth/f1_mask.png",
        "v2/frames/f1.png",
        "v2/truth/f1_mask.png",
        "v2/frames/f2.png",
    )
    masks = "{group}/truth/{name}_mask.png"
    table = list_cases(pairs_cfg(tmp_path, DATASETS_IMAGES="{group}/frames/{name}.png", DATASETS_MASKS=masks))
    assert [(case.id, case.group) for case in table.cases] == [("v1_f1", "v1"), ("v2_f1", "v2")]
    assert table.cases[1].labels == tmp_path / "v2/truth/f1_mask.png"
    assert problems(table) == [("v2_f2", "f2.png", "has no labels")]


def test_two_endings_of_one_name_are_a_problem(tmp_path):
    touch(tmp_path, "images/x.png", "images/x.jpg", "masks/x.png")
    table = list_cases(pairs_cfg(tmp_path))
    assert ids(table) == []
    assert {problem.id for problem in table.problems} == {"x"}


def test_group_and_name_that_give_one_id_are_a_problem(tmp_path):
    touch(tmp_path, "a_b/c.png", "a/b_c.png")
    table = list_test_cases(pairs_cfg(tmp_path, DATASETS_IMAGES="{group}/{name}.png"))
    assert ids(table) == []
    assert len(table.problems) == 2


def test_pairs_without_masks_can_be_predicted(tmp_path):
    touch(tmp_path, "images/x.png")
    assert list_test_cases(pairs_cfg(tmp_path, DATASETS_MASKS="")).cases[0].labels is None


def test_a_name_may_hold_dots_and_signs(tmp_path):
    touch(tmp_path, "images/a.b(1)+[2].png", "masks/a.b(1)+[2].png")
    assert ids(list_cases(pairs_cfg(tmp_path))) == ["a.b(1)+[2]"]


def test_signs_of_a_pattern_stand_for_themselves(tmp_path):
    touch(tmp_path, "in.put/x.png", "inXput/y.png")
    assert match_files(tmp_path, "in.put/{name}.png") == [(("", "x"), tmp_path / "in.put/x.png")]


def test_a_star_never_crosses_a_folder(tmp_path):
    touch(tmp_path, "images/a/x.png", "images/x.png")
    assert [path.name for _, path in match_files(tmp_path, "images/*/{name}.png")] == ["x.png"]
    assert match_files(tmp_path, "images/{name}.*") == [(("", "x"), tmp_path / "images/x.png")]


def test_a_folder_without_any_case_is_an_error(tmp_path):
    (tmp_path / "slides").mkdir()
    with pytest.raises(ValueError, match=r"no case .* lies in .*slides"):
        list_test_cases(slides_cfg(tmp_path))
    with pytest.raises(ValueError, match="no case"):
        list_cases(pairs_cfg(tmp_path))


def test_two_masks_of_one_name_are_a_problem_and_not_a_matter_of_luck(tmp_path):
    for name in ("images/a.png", "images/b.png", "masks/a.png", "masks/a.bmp", "masks/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    table = list_cases(pairs_cfg(tmp_path))
    assert [case.id for case in table.cases] == ["b"]
    assert [(problem.id, problem.message) for problem in table.problems] == [
        ("a", "is one of several label files of this id")
    ]


@pytest.mark.parametrize("masks", ["masks/*.png", "masks/{group}/{name}.png"])
def test_a_mask_pattern_that_could_never_pair_is_a_mistake_of_the_config(tmp_path, masks):
    with pytest.raises(ConfigError, match=r"DATASETS\.MASKS is .*; it must hold"):
        check_cfg(pairs_cfg(tmp_path, DATASETS_MASKS=masks))


@pytest.mark.parametrize("use", ["train", "test", "split"])
def test_the_table_of_ids_may_state_pixel_sizes(tmp_path, use):
    touch(tmp_path / "slides", "a.svs", "b.svs", "c.svs")
    rows = "id,split,spacing_um\na,valid,0.25\nb,valid, 0.5 \nc,valid,\nelsewhere,test,0.1\n"
    labels = "id,encoding\na,1 2\nb,1 2\nc,1 2\n"
    cfg = slides_cfg(tmp_path, labels, rows, TEST_SPLIT="valid" if use == "split" else "")
    table = list_cases(cfg) if use == "train" else list_test_cases(cfg)
    assert {case.id: case.spacing_um for case in table.cases} == {"a": 0.25, "b": 0.5, "c": 0.0}
    assert not table.problems


def test_a_test_without_a_split_predicts_slides_that_the_table_of_pixel_sizes_does_not_name(tmp_path):
    touch(tmp_path / "slides", "a.svs", "b.svs")
    table = list_test_cases(slides_cfg(tmp_path, ids="id,spacing_um\na,0.25\n"))
    assert {case.id: case.spacing_um for case in table.cases} == {"a": 0.25, "b": 0.0}


@pytest.mark.parametrize("text", ["0", "-0.5", "half", "nan", "inf", "0,5"])
@pytest.mark.parametrize("list_them", [list_cases, list_test_cases])
def test_a_wrong_pixel_size_is_a_problem_naming_file_line_and_value(tmp_path, list_them, text):
    touch(tmp_path / "slides", "a.svs", "b.svs")
    rows = f'id,spacing_um\na,0.25\nb,"{text}"\n'
    table = list_them(slides_cfg(tmp_path, "id,encoding\na,1 2\nb,1 2\n", rows))
    assert ids(table) == ["a"]
    message = f"line 3 has spacing_um {text!r}; it must be a pixel size in um above 0, such as 0.5"
    assert problems(table) == [("b", "ids.csv", message)]


def test_two_pixel_sizes_for_one_slide_are_a_problem_and_the_same_one_twice_is_none(tmp_path):
    touch(tmp_path / "slides", "a.svs", "b.svs")
    table = list_test_cases(slides_cfg(tmp_path, ids="id,spacing_um\na,0.25\na,0.5\nb,0.5\nb,\nb,0.50\n"))
    assert {case.id: case.spacing_um for case in table.cases} == {"b": 0.5}
    assert problems(table) == [("a", "ids.csv", "is named by several rows")]
