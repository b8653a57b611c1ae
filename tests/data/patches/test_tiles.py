import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.cases import Case, list_cases
from data.patches import tiles
from data.patches.grid import Box, Grid, whole
from data.patches.otsu import OtsuDetector
from data.patches.scale import Scale
from data.patches.statistics import PixelStatistics
from data.patches.tiles import (
    TileFolder,
    build_tile_folder,
    cut_case,
    describe_set,
    finish_tiles,
    load_image,
    load_mask,
    padded_mask,
    read_tiles,
    save_image,
    save_mask,
    start_tiles,
)
from data.patches.tissue import SaturationDetector, TissueRule
from data.sources import ScaledSource, SourceError, levels, open_source
from data.sources.labels import IGNORE, RleLabels, ScaledLabels
from data.sources.opening import build_reader
from data.sources.source import ArraySource
from tests.slides import make_cfg, noise, write_labels_csv, write_pyramid
from tiles_creator import main
from utils.rle import encode_rle
from utils.tables import TableError

SHAPE = (301, 213)


def blocky(shape, seed=0):
    """A picture that survives reduction: coarse coloured squares."""
    return (
        noise(-(-shape[0] // 16), -(-shape[1] // 16), 3, seed=seed).repeat(16, 0).repeat(16, 1)[: shape[0], : shape[1]]
    )


def disc(shape, centre, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2).astype(np.uint8)


def cut(folder, path, mask, case_id="a", **options):
    case = Case(case_id, path, {"object": encode_rle(mask)}, group="g")
    statistics = PixelStatistics()
    start_tiles(folder)
    rows, spacing_um = cut_case(case, build_reader(make_cfg(**options)), folder, statistics)
    finish_tiles(folder, rows, describe_set(folder, ["object"], statistics, {"a": spacing_um}))
    return rows


@pytest.fixture
def slide(tmp_path):
    image, mask = blocky(SHAPE), disc(SHAPE, (150, 60), 40)
    write_pyramid(tmp_path / "a.tif", image)
    return tmp_path / "a.tif", mask


def folder_of(tmp_path, reduction=2.0, size=32, **options):
    return TileFolder(tmp_path / "train", size, Scale(reduction), **options)


def test_names_of_folders_and_tiles_say_size_and_scale(tmp_path):
    folder = folder_of(tmp_path, reduction=4.0, size=256)
    assert folder.images == tmp_path / "train/images_256_red4"
    assert folder.masks == tmp_path / "train/masks_256_red4"
    assert folder.name("77d2ab61e", 12) == "77d2ab61e_12red4.png"
    folder = TileFolder(tmp_path / "train", 256, Scale(0.0, 2.0))
    assert folder.images == tmp_path / "train/images_256_2um"
    assert folder.name("77d2ab61e", 12) == "77d2ab61e_12_2um.png"


def test_the_config_says_how_tiles_are_cut():
    cfg = make_cfg(
        DATASETS_TRAIN_FOLDER="t", INPUT_SIZE_TRAIN=64, TILES_OVERLAP=8, TILES_REDUCTION=3, TILES_MIN_TISSUE=0.2
    )
    assert build_tile_folder(cfg) == TileFolder(Path("t"), 64, Scale(3.0), 8, TissueRule(0.2, longest_px=1024))


def test_every_tile_is_its_place_of_the_reduced_image_and_mask(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path, overlap_px=5)
    rows = cut(folder, path, mask)
    assert len(rows) > 12
    with open_source(path) as source:
        shape = folder.scale.shape_of(source)
        image = ScaledSource(source, shape).read(whole(shape))
    labels = ScaledLabels(ArraySource(mask[..., None]), shape, 1).read(whole(shape))
    for row in rows:
        place = slice(row.row_px, row.row_px + 32), slice(row.column_px, row.column_px + 32)
        np.testing.assert_array_equal(load_image(folder.images / row.tile), image[place])
        np.testing.assert_array_equal(load_mask(folder.masks / row.tile), labels[place])
        assert row.foreground == pytest.approx((labels[place] == 1).mean())
        assert (row.row_level0, row.column_level0) == (row.row_px * 301 // shape[0], row.column_px * 213 // shape[1])
        assert (row.id, row.group) == ("a", "g")


def test_tiles_cover_the_slide_up_to_its_edge(tmp_path, slide):
    path, mask = slide
    rows = cut(folder_of(tmp_path), path, mask)
    assert (max(row.row_px for row in rows) + 32, max(row.column_px for row in rows) + 32) == (150, 106)
    assert [row.tile for row in rows] == [f"a_{number}red2.png" for number in range(len(rows))]


def test_the_index_and_the_card_read_back_as_they_were_written(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path)
    rows = cut(folder, path, mask)
    again, card = read_tiles(folder)
    for row, other in zip(rows, again, strict=True):
        assert row.tissue == pytest.approx(other.tissue, rel=1e-5)
        assert row.foreground == pytest.approx(other.foreground, rel=1e-5)
        assert {**vars(row), "tissue": 0, "foreground": 0} == {**vars(other), "tissue": 0, "foreground": 0}
    assert card["classes"] == ["object"]
    assert card["size"] == 32
    assert card["spacing_um"] == pytest.approx(0.5 * 301 / 150, abs=1e-4)


def test_mean_and_std_of_the_card_are_those_of_all_tiles_on_disk(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path, overlap_px=8)
    cut(folder, path, mask)
    pixels = np.stack([np.asarray(Image.open(each)) for each in sorted(folder.images.glob("*.png"))]) / 255
    card = json.loads(folder.card.read_text())
    np.testing.assert_allclose(card["mean"], pixels.mean((0, 1, 2)), atol=2e-6)
    np.testing.assert_allclose(card["std"], pixels.std((0, 1, 2)), atol=2e-6)


def glass(path, shape=SHAPE):
    tifffile.imwrite(path, np.full((*shape, 3), 244, np.uint8), photometric="rgb", tile=(64, 64))
    return path


def test_an_annotated_tile_is_kept_even_on_white_glass(tmp_path):
    mask = disc(SHAPE, (150, 60), 4)
    folder = folder_of(tmp_path, tissue=TissueRule(0.5))
    rows = cut(folder, glass(tmp_path / "a.tif"), mask)
    assert rows
    assert all(row.foreground > 0 and row.tissue == 0 for row in rows)
    found = np.zeros((150, 106), np.uint8)
    for row in rows:
        found[row.row_px : row.row_px + 32, row.column_px : row.column_px + 32] |= load_mask(folder.masks / row.tile)
    np.testing.assert_array_equal(
        found, ScaledLabels(ArraySource(mask[..., None]), (150, 106), 1).read(whole((150, 106)))
    )


@pytest.mark.parametrize("detector", [SaturationDetector(), OtsuDetector()])
def test_an_annotated_tile_is_kept_on_ink_on_black_and_on_glass(tmp_path, detector):
    image = np.full((128, 256, 3), 244, np.uint8)
    image[:, 64:128], image[:, 128:192] = (30, 60, 160), 0  # tiles of 64: glass, ink, black, glass
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    mask = np.zeros((128, 256), np.uint8)
    mask[30, ::64] = 1  # a pixel in each tile of the upper row
    folder = folder_of(tmp_path, reduction=1.0, size=64, tissue=TissueRule(0.5, detector))
    places = {(row.row_px, row.column_px) for row in cut(folder, tmp_path / "a.tif", mask)}
    assert {(0, 0), (0, 64), (0, 128), (0, 192)} <= places
    assert not places & {(64, 0), (64, 128), (64, 192)}


def test_the_tissue_and_the_kept_tiles_of_a_case_are_drawn_beside_its_tiles(tmp_path):
    folder = folder_of(tmp_path, tissue=TissueRule(0.05))
    cut(folder, glass(tmp_path / "a.tif"), np.zeros(SHAPE, np.uint8))
    assert folder.kept("a").parent.parent == folder.root
    with Image.open(folder.kept("a")) as image:
        assert image.size[0] == SHAPE[1]


def test_no_tissue_gives_an_empty_index_and_a_valid_card(tmp_path):
    folder = folder_of(tmp_path, tissue=TissueRule(0.05))
    assert cut(folder, glass(tmp_path / "a.tif"), np.zeros(SHAPE, np.uint8)) == []
    rows, card = read_tiles(folder)
    assert rows == []
    assert (card["mean"], card["std"], card["classes"]) == ([], [], ["object"])
    assert not list(folder.images.glob("*.png"))


def test_glass_without_labels_is_neither_read_nor_written(tmp_path, monkeypatch):
    image = np.full((512, 512, 3), 244, np.uint8)
    image[64:128, 128:192] = (200, 90, 150)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64))
    mask, read = disc((512, 512), (480, 480), 5), []
    folder = folder_of(tmp_path, reduction=1.0, size=64, tissue=TissueRule(0.5, longest_px=64))
    areas = RleLabels.areas
    monkeypatch.setattr(RleLabels, "areas", lambda self, box, shape: read.append(box.start) or areas(self, box, shape))
    rows = cut(folder, tmp_path / "a.tif", mask)
    assert [(row.row_px, row.column_px) for row in rows] == [(64, 128), (448, 448)]
    assert read == [(448, 448)]  # the other tile has no label, which the runs know without areas


@pytest.mark.parametrize("tissue", [TissueRule(), TissueRule(0.4)])
def test_any_number_of_threads_gives_the_same_tiles_index_and_statistics(tmp_path, monkeypatch, slide, tissue):
    path, mask = slide
    found = []
    for threads in (1, 5):
        monkeypatch.setattr(tiles, "reader_count", lambda threads=threads: threads)
        folder = TileFolder(tmp_path / str(threads), 32, Scale(2.0), 5, tissue)
        cut(folder, path, mask)
        files = sorted(each for each in folder.root.rglob("*") if each.is_file())
        found.append([(each.relative_to(folder.root), each.read_bytes()) for each in files])
    assert len(found[0]) > 10
    assert found[0] == found[1]


def test_a_slide_without_a_pyramid_gives_the_tiles_of_its_pixels_and_leaves_no_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(levels, "LEAST_PIXELS", 1000)
    image, mask = blocky((301, 213)), disc((301, 213), (150, 60), 40)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64))
    folder = folder_of(tmp_path, reduction=3.0, overlap_px=5)
    rows = cut(folder, tmp_path / "a.tif", mask)
    expected = ScaledSource(ArraySource(image), (100, 71)).read(whole((100, 71)))
    assert len(rows) == 12
    for row in rows:
        place = slice(row.row_px, row.row_px + 32), slice(row.column_px, row.column_px + 32)
        np.testing.assert_array_equal(load_image(folder.images / row.tile), expected[place])
    assert {each.name for each in folder.root.iterdir()} == {folder.images.name, folder.masks.name}


def test_a_tile_needs_the_fraction_of_tissue_that_was_asked_for(tmp_path):
    image = np.full((128, 256, 3), 244, np.uint8)
    image[:, :80] = (200, 90, 150)  # tiles of 64: full, a quarter, none, none
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    for least, columns in ((0.0, {0, 64, 128, 192}), (0.1, {0, 64}), (0.5, {0})):
        folder = folder_of(tmp_path, reduction=1.0, size=64, tissue=TissueRule(least))
        assert {row.column_px for row in cut(folder, tmp_path / "a.tif", np.zeros((128, 256), np.uint8))} == columns


def test_masks_are_class_indices_for_a_reader_and_colours_for_the_eye(tmp_path):
    mask = noise(20, 30) % 4
    mask[0] = IGNORE
    save_mask(tmp_path / "m.png", mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        assert len(image.convert("RGB").getcolors()) == 5
    np.testing.assert_array_equal(load_mask(tmp_path / "m.png"), mask)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tile_reads_back_as_it_was_saved(tmp_path, channels):
    image = noise(20, 30, channels)
    save_image(tmp_path / "i.png", image)
    np.testing.assert_array_equal(load_image(tmp_path / "i.png"), image)


def test_a_slide_smaller_than_a_tile_is_mirrored_once_and_ignored_there(tmp_path):
    image = blocky((40, 50))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    folder = folder_of(tmp_path, reduction=1.0, size=64)
    rows = cut(folder, tmp_path / "a.tif", np.ones((40, 50), np.uint8))
    assert [(row.row_px, row.column_px, row.foreground) for row in rows] == [(0, 0, 1.0)]
    padding = [(0, 24), (0, 14), (0, 0)]
    np.testing.assert_array_equal(load_image(folder.images / rows[0].tile), np.pad(image, padding, "symmetric"))
    mask = load_mask(folder.masks / rows[0].tile)
    assert (mask[:40, :50] == 1).all()
    assert (mask[40:] == IGNORE).all()
    assert (mask[:, 50:] == IGNORE).all()


def test_cutting_again_removes_the_tiles_of_the_earlier_set(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path)
    cut(folder, path, mask, case_id="old")
    rows = cut(folder, path, mask, case_id="new")
    names = {row.tile for row in rows}
    assert {each.name for each in folder.images.glob("*.png")} == names
    assert {each.name for each in folder.masks.glob("*.png")} == names


def test_while_tiles_are_cut_there_is_no_index(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path)
    cut(folder, path, mask)
    start_tiles(folder)
    with pytest.raises(TableError, match=r"tiles\.csv is missing"):
        read_tiles(folder)


def test_a_case_that_fails_adds_nothing_to_mean_and_std(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(256, 64, 3), photometric="rgb", tile=(32, 32))
    path.write_bytes(path.read_bytes()[:-5000])
    folder, statistics = folder_of(tmp_path, reduction=1.0), PixelStatistics()
    start_tiles(folder)
    with pytest.raises(SourceError, match=r"a\.tif is damaged"):
        cut_case(Case("a", path, {"object": ""}), build_reader(make_cfg()), folder, statistics)
    assert statistics.count == 0


def test_a_crop_moves_the_tiles_with_it(tmp_path, slide):
    path, mask = slide
    folder = folder_of(tmp_path, reduction=1.0)
    rows = cut(folder, path, mask, DATASETS_CROP=[20, 30, 64, 96])
    image = tifffile.imread(path)[20:84, 30:126]
    assert len(rows) == 6
    for row in rows:
        place = slice(row.row_px, row.row_px + 32), slice(row.column_px, row.column_px + 32)
        np.testing.assert_array_equal(load_image(folder.images / row.tile), image[place])
        np.testing.assert_array_equal(load_mask(folder.masks / row.tile), mask[20:84, 30:126][place])


@pytest.mark.parametrize(
    ("spacings", "spacing_um"),
    [([2.0, 2.0], 2.0), ([2.0, 2.05], 2.025), ([2.0, 2.2], None), ([2.0, None], None), ([], None), ([None], None)],
)
def test_the_card_has_a_pixel_size_only_if_all_cases_agree_and_the_log_says_if_they_do_not(
    tmp_path, caplog, spacings, spacing_um
):
    card = describe_set(folder_of(tmp_path), ["object"], PixelStatistics(), dict(enumerate(spacings)))
    assert card["spacing_um"] == spacing_um
    disagree = spacing_um is None and any(spacings)
    assert ("set TILES.SPACING_UM" in caplog.text) == disagree


def test_the_card_of_tiles_at_a_pixel_size_has_just_that(tmp_path):
    folder = TileFolder(tmp_path, 32, Scale(0.0, 2.0))
    assert describe_set(folder, ["object"], PixelStatistics(), {"a": 2.01})["spacing_um"] == 2.0


def test_labels_of_a_box_inside_the_image_are_not_padded():
    mask = noise(20, 30) % 2
    labels = ScaledLabels(ArraySource(mask[..., None]), (20, 30), 1)
    np.testing.assert_array_equal(padded_mask(labels, whole((20, 30))), mask)


def test_labels_of_a_box_that_reaches_past_the_image_on_both_sides_are_ignored_there():
    mask = disc((6, 4), (2, 2), 2)
    labels = ScaledLabels(RleLabels([encode_rle(mask)], (6, 4)), (6, 4), 1)
    expected = np.pad(mask, [(1, 1), (3, 2)], constant_values=IGNORE)
    np.testing.assert_array_equal(padded_mask(labels, Box((-1, -3), (8, 9))), expected)


def test_the_script_cuts_all_good_slides_and_names_the_bad(tmp_path, capsys):
    slides, train = tmp_path / "slides", tmp_path / "train"
    slides.mkdir()
    masks = {name: disc((150, 130), (60, 60), 30) for name in ("001", "bad", "rle")}
    for number, name in enumerate(masks):
        write_pyramid(slides / f"{name}.tif", blocky((150, 130), seed=number), levels=2)
    (slides / "bad.tif").write_bytes(b"no slide")
    write_labels_csv(tmp_path / "train.csv", masks)
    text = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(text + "gone,1 2\n")
    lines = [line + " 5" if line.startswith("rle,") else line for line in (text + "gone,1 2").splitlines()]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    options = ["INPUT.SIZE_TRAIN", "32", "TILES.REDUCTION", "2", "DATASETS.WSI_FOLDER", str(slides)]
    code = main([*options, "DATASETS.LABELS_CSV", str(tmp_path / "train.csv"), "DATASETS.TRAIN_FOLDER", str(train)])
    assert code == 1
    failures = (train / "failures.csv").read_text()
    assert [line.split(",")[0] for line in failures.splitlines()] == ["id", "gone", "bad", "rle"]
    cfg = make_cfg(INPUT_SIZE_TRAIN=32, TILES_REDUCTION=2, DATASETS_TRAIN_FOLDER=str(train))
    rows, _ = read_tiles(build_tile_folder(cfg))
    assert {row.id for row in rows} == {"001"}
    assert "failed 3 of 4 cases" in capsys.readouterr().out


def test_cases_of_a_table_are_cut_with_their_group(tmp_path, slide):
    _, mask = slide
    write_labels_csv(tmp_path / "labels.csv", {"a": mask})
    (tmp_path / "ids.csv").write_text("id,group\na,007\n")
    ids = {"DATASETS_ID_CSV": str(tmp_path / "ids.csv"), "DATASETS_LABELS_CSV": str(tmp_path / "labels.csv")}
    cfg = make_cfg(DATASETS_WSI_FOLDER=str(tmp_path), **ids)
    folder = folder_of(tmp_path)
    start_tiles(folder)
    rows, spacing_um = cut_case(list_cases(cfg).cases[0], build_reader(cfg), folder, PixelStatistics())
    finish_tiles(folder, rows, describe_set(folder, ["object"], PixelStatistics(), {"a": spacing_um}))
    assert {row.group for row in read_tiles(folder)[0]} == {"007"}


@pytest.mark.parametrize("shape", [SHAPE, (64, 213)], ids=["rows", "one row"])
def test_a_second_grid_adds_tiles_between_the_first_in_folders_of_its_own(tmp_path, shape):
    mask = disc(shape, (shape[0] // 2, 60), 25)
    write_pyramid(tmp_path / "a.tif", blocky(shape))
    plain, both = folder_of(tmp_path), folder_of(tmp_path, has_shifted=True)
    rows, more = (cut(folder, tmp_path / "a.tif", mask) for folder in (plain, both))
    assert both.images == tmp_path / "train/images_32_red2_shifted"
    assert both.kept("a") == tmp_path / "train/tissue_32_red2_shifted/a.jpg"
    assert [vars(row) for row in more[: len(rows)]] == [vars(row) for row in rows]
    half = (shape[0] // 2, 106)
    places = [box.start for box in Grid(half, (32, 32), (0, 0)).between()]
    assert [(row.row_px, row.column_px) for row in more[len(rows) :]] == places
    assert len(more) == len({row.tile for row in more}) == len(list(both.images.glob("*.png")))
    assert len(list(plain.images.glob("*.png"))) == len(rows)
    with open_source(tmp_path / "a.tif") as source:
        image = ScaledSource(source, half).read(whole(half))
    labels = ScaledLabels(RleLabels([encode_rle(mask)], shape), half, 1).read(whole(half))
    for row in more:
        place = Box((row.row_px, row.column_px), (32, 32)).slices
        np.testing.assert_array_equal(load_image(both.images / row.tile), image[place])
        np.testing.assert_array_equal(load_mask(both.masks / row.tile), labels[place])


def test_the_config_asks_for_the_second_grid():
    assert build_tile_folder(make_cfg(TILES_SHIFTED_GRID=True)).has_shifted
    assert not build_tile_folder(make_cfg()).has_shifted
