import hashlib
import logging
import os
import shutil
import subprocess

import pytest

from data.cases import Case
from data.manifest import (
    DataFile,
    Entry,
    build_manifest,
    build_test_manifest,
    build_training_manifest,
    case_files,
    describe_files,
    parts_of,
    refuse_copies,
    warn_of_changes,
    write_manifest,
)
from tests.slides import make_cfg
from utils.failures import Failures


def touch(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def cases(folder):
    return [Case(name, folder / f"{name}.png", folder / f"{name}.txt", group=name) for name in "ab"]


def entries(folder, with_hashes=True):
    return describe_files(case_files(cases(folder)), [folder], with_hashes, Failures())


@pytest.fixture
def folder(tmp_path):
    touch(tmp_path, a_png="picture", b_png="another", a_txt="", b_txt="x")
    return tmp_path


def test_images_and_labels_are_told_by_size_and_hash(folder):
    found = entries(folder)
    assert [(each.kind, each.id, each.file, each.bytes) for each in found] == [
        ("image", "a", "a.png", 7), ("labels", "a", "a.txt", 0), ("image", "b", "b.png", 7), ("labels", "b", "b.txt", 1)
    ]  # fmt: skip
    assert found[0].sha256 == hashlib.sha256(b"picture").hexdigest()
    assert [each.sha256 for each in entries(folder, with_hashes=False)] == [""] * 4


def test_several_files_have_the_hash_of_what_sha256sum_prints(folder):
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    names = ["a.png", "a.txt", "b.png", "b.txt"]
    lines = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    (entry,) = describe_files([DataFile("tiles", folder)], [folder.parent], True, Failures())
    assert entry == Entry("tiles", "", folder.name, 15, hashlib.sha256(lines).hexdigest())


def test_a_slide_of_many_files_is_all_of_them(tmp_path):
    touch(tmp_path, s_mrxs="index", s__Slidedat_ini="x", s__Data1_dat="y", d__1_dcm="1", d__2_dcm="2", t_svs="z")
    parts = {name: [part.name for part in parts_of(tmp_path / name)] for name in ("s.mrxs", "d/1.dcm", "t.svs")}
    assert parts == {
        "s.mrxs": ["s.mrxs", "Data1.dat", "Slidedat.ini"],
        "d/1.dcm": ["1.dcm", "2.dcm"],
        "t.svs": ["t.svs"],
    }


def test_a_volume_of_several_files_is_all_of_them(tmp_path):
    touch(tmp_path, a_mhd="header", a_raw="voxels", b_mhd="header", b_zraw="packed", b_txt="no part of it")
    names = [[part.name for part in parts_of(tmp_path / name)] for name in ("a.mhd", "b.mhd")]
    assert names == [["a.mhd", "a.raw"], ["b.mhd", "b.zraw"]]


def test_the_tables_that_the_config_names_belong_to_the_data(tmp_path):
    tables = {"DATASETS_LABELS_CSV": "l.csv", "DATASETS_ID_CSV": "i.csv", "DATASETS_FOLDS_CSV": "f.csv"}
    paths = {key: tmp_path / name for key, name in tables.items()}
    touch(tmp_path, l_csv="", i_csv="", f_csv="", more_dat="", c_json="")

    def names(**options):
        cfg, more = make_cfg(**paths, **options), [DataFile("weights", tmp_path / "more.dat")]
        return [entry.file for entry in build_manifest(cfg, [], Failures(), more)]

    assert sorted(names()) == ["f.csv", "i.csv", "l.csv", "more.dat"]
    assert sorted(names(DATASETS_LABELS_FOLDER="masks")) == ["f.csv", "i.csv", "more.dat"]
    touch(tmp_path, c_json="{}")
    assert sorted(names(DATASETS_LABELS_COCO=tmp_path / "c.json")) == ["c.json", "f.csv", "i.csv", "more.dat"]
    assert sorted(names(DATASETS_LAYOUT="pairs")) == ["f.csv", "i.csv", "more.dat"]
    assert sorted(names(DATASETS_LABELS_COCO=tmp_path / "c.json")) == ["c.json", "f.csv", "i.csv", "more.dat"]


def test_a_prediction_reads_images_labels_and_weights(folder):
    touch(folder, w__f0_safetensors="weights", ids_csv="id", labels_csv="id")
    options = {"TEST_WSI_FOLDER": folder, "TEST_MODEL_WEIGHTS_FOLDER": folder / "w", "TEST_LABELS_CSV": "",
               "DATASETS_ID_CSV": folder / "ids.csv"}  # fmt: skip

    def names(**changes):
        weights = [folder / "w" / "f0.safetensors"]
        found = build_test_manifest(make_cfg(**options | changes), cases(folder)[:1], Failures(), weights)
        return [entry.file for entry in found]

    assert names() == ["a.png", "a.txt", "w/f0.safetensors"]
    tables = ["labels.csv", "ids.csv"]
    touch(folder, c_json="{}")
    assert "c.json" in names(DATASETS_LABELS_COCO=folder / "c.json")
    assert names(TEST_SPLIT="test", TEST_LABELS_CSV=folder / "labels.csv") == [
        "a.png",
        "a.txt",
        *tables,
        "w/f0.safetensors",
    ]


def test_run_length_labels_are_no_file_of_a_case(tmp_path):
    assert [file.kind for file in case_files([Case("a", tmp_path / "a.tif", {"x": "1 2"})])] == ["image"]


def test_a_case_whose_file_is_gone_is_a_failure_and_a_table_that_is_gone_ends_the_run(folder):
    (folder / "a.png").unlink()
    failures = Failures()
    found = describe_files(case_files(cases(folder)), [folder], True, failures)
    assert [each.file for each in found] == ["a.txt", "b.png", "b.txt"]
    assert failures.ids == {"a"}
    with pytest.raises(FileNotFoundError):
        describe_files([DataFile("table", folder / "gone.csv")], [folder], True, Failures())


def test_one_picture_in_two_groups_is_an_error_naming_both_cases(folder):
    refuse_copies(entries(folder), {"a": "a", "b": "b"})
    touch(folder, b_png="picture")
    refuse_copies(entries(folder), {"a": "p", "b": "p"})
    with pytest.raises(
        ValueError, match=r"a\.png and b\.png are the same picture in the groups 'p' and 'q'.*a and b out"
    ):
        refuse_copies(entries(folder), {"a": "p", "b": "q"})
    refuse_copies(entries(folder, with_hashes=False), {"a": "p", "b": "q"})


def test_equal_labels_are_no_leak(folder):
    touch(folder, b_txt="")
    refuse_copies(entries(folder), {"a": "a", "b": "b"})


def test_equal_data_elsewhere_give_equal_bytes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved" / "here")
    for name, place in (("one.csv", folder), ("two.csv", tmp_path / "moved" / "here")):
        write_manifest(tmp_path / name, entries(place))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_changed_new_and_missing_files_are_named(folder, caplog):
    write_manifest(folder / "manifest.csv", [*entries(folder), Entry("table", "", "old.csv", 3, "")])
    with caplog.at_level(logging.WARNING):
        warn_of_changes(folder / "manifest.csv", [*entries(folder), Entry("table", "", "old.csv", 3, "f00")])
        assert not caplog.messages
        touch(folder, b_png="changed")
        warn_of_changes(folder / "manifest.csv", [*entries(folder), Entry("table", "", "new.csv", 3, "")])
    (message,) = caplog.messages
    assert message.endswith("manifest.csv: b.png has changed, new.csv is new, old.csv is gone")


def test_a_training_lists_unlabelled_images_and_maps_and_refuses_a_labelled_image_among_them(folder):
    touch(folder, more__x_png="third", more__y_png="third", maps__fold0__probabilities__x="map")
    unlabelled = [Case(name, folder / "more" / f"{name}.png", group=name) for name in "xy"]
    cfg = make_cfg(DATASETS_LAYOUT="pairs", DATASETS_WSI_FOLDER=folder, DATASETS_UNLABELLED_FOLDER=folder / "more")
    maps = [folder / "maps" / "fold0" / "probabilities"]
    found = build_training_manifest(cfg, cases(folder), Failures(), unlabelled, maps)
    assert [(each.kind, each.file) for each in found[4:]] == [
        ("unlabelled", "more/x.png"), ("unlabelled", "more/y.png"), ("pseudo-labels", "maps/fold0/probabilities")
    ]  # fmt: skip
    touch(folder, more__y_png="picture")
    with pytest.raises(ValueError, match=r"a\.png and more/y\.png are the same picture in the groups 'a' and 'y'"):
        build_training_manifest(cfg, cases(folder), Failures(), unlabelled, maps)


def test_a_pipe_in_the_place_of_an_image_is_a_failure_and_not_waited_for(folder):
    (folder / "a.png").unlink()
    os.mkfifo(folder / "a.png")
    failures = Failures()
    describe_files(case_files(cases(folder)), [folder], True, failures)
    assert [failure.message for failure in failures.rows] == ["a.png is no file"]
