"""Slides of several scanners, from files to tiles and masks, at one pixel size in microns."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import test_net
import tiles_creator
from tests.cards import CARD
from tests.networks import write_mean
from tests.slides import halved, write_labels_csv, write_ome
from tests.vendor_slides import write_dicom, write_svs

TILES = "images_64_2um"


def draw(rows, columns):
    """Slow waves of pink and purple at 0.25 um, and a disc of radius 100 um."""
    row, column = np.mgrid[:rows, :columns]
    waves = np.sin(row / 150 + column / 230), np.cos(column / 190), np.sin(row / 170)
    image = np.stack([200 + 50 * waves[0], 110 + 60 * waves[1], 170 + 40 * waves[2]], axis=-1).astype(np.uint8)
    return image, ((row - rows // 2) ** 2 + (column - columns // 2) ** 2 < 400**2).astype(np.uint8)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """One piece of tissue as three scanners see it: 40x, 20x and 20x without a pixel size; and its labels."""
    folder = tmp_path_factory.mktemp("microns") / "slides"
    folder.mkdir()
    image, mask = draw(1024, 1536)
    write_svs(folder / "fine.svs", [image, halved(halved(image))], spacing_um=0.25, compression="lzw")
    write_ome(folder / "coarse.ome.tif", halved(image), spacing_um=(0.5, 0.5))
    write_dicom(folder / "other", [halved(image), halved(halved(image))], spacing_um=0.5)
    write_svs(folder / "silent.svs", [halved(image)], spacing_um=None, compression="lzw")
    half = mask[::2, ::2]
    masks = {"fine": mask, "coarse": half, "other": half, "silent": half}
    write_labels_csv(folder.parent / "labels.csv", masks)
    return folder


def cut(slides, root, *options):
    labels = slides.parent / "labels.csv"
    argv = ["DATASETS.WSI_FOLDER", slides, "DATASETS.LABELS_CSV", labels, "DATASETS.TRAIN_FOLDER", root]
    return tiles_creator.main([str(each) for each in (*argv, "INPUT.SIZE_TRAIN", 64, "TILES.SPACING_UM", 2, *options)])


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_case(root):
    """Image and mask tiles of each case, and where they lie at the network's scale."""
    from data.patches.tiles import load_image, load_mask

    found = {}
    for row in read_rows(root / TILES / "tiles.csv"):
        images, masks, places = found.setdefault(row["id"], ([], [], []))
        images.append(load_image(root / TILES / row["tile"]))
        masks.append(load_mask(root / TILES.replace("images", "masks") / row["tile"]))
        places.append((row["row_px"], row["column_px"]))
    return found


def test_slides_of_40x_and_20x_give_the_same_tiles_of_the_same_microns(slides, tmp_path):
    assert cut(slides, tmp_path) == 1  # for the one without a pixel size
    found = by_case(tmp_path)
    assert sorted(found) == ["coarse", "fine", "other"]
    images, masks, places = found["fine"]
    assert len(images) == 6  # 256 x 384 um in tiles of 128 um
    for case_id in ("coarse", "other"):
        others, other_masks, other_places = found[case_id]
        assert other_places == places
        for mine, theirs in zip(images, others, strict=True):
            assert np.abs(mine.astype(int) - theirs).max() <= 2
        assert np.mean(np.stack(masks) != np.stack(other_masks)) < 0.002
    assert np.stack(masks).sum() * 4 == pytest.approx(np.pi * 100**2, rel=0.01)  # um2


def test_a_slide_without_a_pixel_size_is_an_error_naming_both_overrides_only_where_microns_are_asked_for(
    slides, tmp_path
):
    assert cut(slides, tmp_path / "um") == 1
    (failure,) = read_rows(tmp_path / "um" / "failures.csv")
    assert failure["id"] == "silent"
    assert failure["message"].startswith("has no pixel size; set DATASETS.SPACING_UM")
    assert "column spacing_um of DATASETS.ID_CSV" in failure["message"]
    assert cut(slides, tmp_path / "red", "TILES.SPACING_UM", 0) == 0


def test_a_column_of_pixel_sizes_lets_it_be_cut_as_the_others(slides, tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text("id,spacing_um\ncoarse,\nfine,\nother,\nsilent,0.5\n")
    assert cut(slides, tmp_path / "um", "DATASETS.ID_CSV", table) == 0
    found = by_case(tmp_path / "um")
    silent, coarse = (np.stack(found[case_id][0]).astype(int) for case_id in ("silent", "coarse"))
    assert np.abs(silent - coarse).max() <= 1  # the one from level 0, the other from a level


def predict(slides, root, card, *options):
    (root / "weights").mkdir(parents=True)
    write_mean(root / "weights" / "mean.onnx", card)
    argv = ["TEST.WSI_FOLDER", slides, "TEST.MODEL_WEIGHTS_FOLDER", root / "weights", "TEST.OUTPUT_DIR", root / "out"]
    return test_net.main([str(each) for each in (*argv, "TEST.TH", 0.6, "TEST.PATCH", 128, *options)])


def map_of(root, case_id):
    from data.stitching.probability_map import open_map

    return open_map(root / "out" / "probabilities" / f"{case_id}.zarr")


def test_prediction_sees_every_slide_at_the_microns_that_the_weights_were_trained_at(slides, tmp_path):
    card = replace(CARD, classes=("object",), reduction=0.0, spacing_um=2.0)
    assert predict(slides, tmp_path, card) == 1
    assert {map_of(tmp_path, case_id).shape for case_id in ("fine", "coarse", "other")} == {(128, 192)}
    (failure,) = read_rows(tmp_path / "out" / "failures.csv")
    assert failure["id"] == "silent"
    assert failure["message"].startswith("has no pixel size; set DATASETS.SPACING_UM")
    shapes = [tifffile.imread(tmp_path / "out" / "masks" / f"{name}.tiff").shape for name in ("fine", "coarse")]
    assert shapes == [(1024, 1536), (512, 768)]


def test_weights_of_a_reduction_and_its_microns_use_the_latter_and_doubt_slides_that_state_none(slides, tmp_path):
    card = replace(CARD, classes=("object",), reduction=4.0, spacing_um=2.0)
    assert predict(slides, tmp_path, card) == 0
    assert map_of(tmp_path, "fine").shape == map_of(tmp_path, "coarse").shape == (128, 192)
    assert map_of(tmp_path, "silent").shape == (128, 192)
    log = (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    assert [line.split(" WARNING ")[1][:30] for line in log.splitlines() if "WARNING" in line] == [
        "silent: has no pixel size; 4 o"
    ]


def test_weights_of_a_reduction_alone_use_it_on_every_slide(slides, tmp_path):
    card = replace(CARD, classes=("object",), reduction=4.0, spacing_um=None)
    assert predict(slides, tmp_path, card) == 0
    assert [map_of(tmp_path, case_id).shape for case_id in ("fine", "coarse")] == [(256, 384), (128, 192)]
