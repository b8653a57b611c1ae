import numpy as np
import pytest
from PIL import Image

from apps.list_pairs import main
from utils.tables import read_table


def save_pictures(folder, names, grey=0):
    """Pictures of one grey each, the next lighter than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((4, 4), grey + number, np.uint8)).save(folder / f"{name}.png")


@pytest.fixture
def videos(tmp_path):
    for number, video in enumerate(("v1", "v2", "v3")):
        save_pictures(tmp_path / video / "frames", ["001", "002"], 10 * number)
        save_pictures(tmp_path / video / "truth", ["001", "002"])
    patterns = ["DATASETS.IMAGES", "{group}/frames/{name}.png", "DATASETS.MASKS", "{group}/truth/{name}.png"]
    return tmp_path, ["DATASETS.WSI_FOLDER", str(tmp_path), *patterns]


def test_every_pair_is_a_row_with_its_group(videos):
    folder, options = videos
    assert main([str(folder / "id.csv"), *options]) == 0
    rows = read_table(folder / "id.csv", ["id", "group", "split"])
    assert list(rows["id"])[:2] == ["v1_001", "v1_002"]
    assert list(rows["group"].unique()) == ["v1", "v2", "v3"]
    assert set(rows["split"]) == {"train"}


def test_held_out_cases_are_whole_groups_and_the_same_each_time(videos):
    folder, options = videos
    drawn = []
    for name in ("one.csv", "two.csv"):
        main([str(folder / name), "--held-out", "1", *options])
        rows = read_table(folder / name, ["id", "split"])
        drawn.append(set(rows["id"][rows["split"] == "test"]))
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 2
    assert len({case_id.split("_")[0] for case_id in drawn[0]}) == 1


def test_an_image_without_a_mask_is_named_and_left_out(videos, capsys, caplog):
    folder, options = videos
    (folder / "v2" / "truth" / "002.png").unlink()
    assert main([str(folder / "id.csv"), *options]) == 1
    assert "v2_002" in caplog.text
    assert "v2_002" not in list(read_table(folder / "id.csv", ["id"])["id"])
    assert "5 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("held_out", ["-1", "6"])
def test_more_held_out_than_there_are_pairs_is_a_mistake(videos, held_out):
    folder, options = videos
    assert main([str(folder / "id.csv"), f"--held-out={held_out}", *options]) == 2


def test_a_missing_folder_is_a_mistake(tmp_path, capsys):
    assert main([str(tmp_path / "id.csv"), "DATASETS.WSI_FOLDER", str(tmp_path / "none")]) == 2
    assert "DATASETS.WSI_FOLDER" in capsys.readouterr().err


def test_videos_that_share_a_picture_become_one_group_on_one_side(videos, capsys):
    folder, options = videos
    save_pictures(folder / "v3" / "frames", ["001"], grey=1)  # 002 of v1
    for held_out in ("1", "3"):
        assert main([str(folder / "id.csv"), "--held-out", held_out, *options]) == 0
        rows = read_table(folder / "id.csv", ["id", "group", "split"])
        assert rows["group"].tolist() == ["v1", "v1", "v2", "v2", "v1", "v1"]
        assert rows.groupby("group")["split"].nunique().tolist() == [1, 1]
    assert (
        "v1/frames/002.png and v3/frames/001.png are the same picture: v3_001 joins the group v1"
        in capsys.readouterr().out
    )


def test_a_roboflow_export_becomes_a_table_in_which_copies_of_a_picture_are_one_group(tmp_path):
    for split, names in (("train", ["a.rf.1", "a.rf.2", "b.rf.1"]), ("valid", ["c.rf.1"])):
        save_pictures(tmp_path / split, names, 10 * len(names))
        save_pictures(tmp_path / split, [f"{name}_mask" for name in names], 0)
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, object\n2, object\n")
    options = ["DATASETS.LAYOUT", "roboflow", "DATASETS.WSI_FOLDER", str(tmp_path), "MODEL.IN_CHANNELS", "1"]
    assert main([str(tmp_path / "id.csv"), "--held-out", "1", *options]) == 0
    rows = read_table(tmp_path / "id.csv", ["id", "group", "split"])
    assert list(rows["id"]) == ["a.rf.1", "a.rf.2", "b.rf.1", "c.rf.1"]
    assert list(rows["group"]) == ["a", "a", "b", "c"]
    assert set(rows["split"]) == {"train", "test"}
