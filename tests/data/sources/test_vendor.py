import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from data.patches.grid import Box, blocks, whole
from data.sources import ScaledSource, SourceError, open_source, vendor
from data.sources.vendor import dicom_files
from tests.slides import halved, noise, pyramid
from tests.vendor_slides import write_dicom, write_mrxs, write_ndpi, write_scn, write_svs

WHITE = np.full(3, 255, np.uint8)


def random_boxes(shape, count=12, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        start = tuple(int(rng.integers(0, n)) for n in shape)
        yield Box(start, tuple(int(rng.integers(1, n - a + 1)) for a, n in zip(start, shape, strict=True)))
    yield whole(shape)


def assert_reads(path, levels):
    """Every box at every level is the same as in arrays (rows, columns, 3) that come from elsewhere."""
    with open_source(path) as source:
        assert source.level_shapes == tuple(level.shape[:2] for level in levels)
        assert source.channels == 3
        for number, level in enumerate(levels):
            for box in random_boxes(level.shape[:2], seed=number):
                pixels = source.read(box, number)
                assert pixels.dtype == np.uint8
                np.testing.assert_array_equal(pixels, level[box.slices])


def smooth(rows, columns):
    """An image of slow waves, in which a shift by a part of a pixel changes values by little."""
    row, column = np.mgrid[:rows, :columns]
    waves = [np.sin(row / 40 + column / 60), np.cos(column / 50), np.sin(row / 70)]
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("compression", ["jpeg", "lzw", "none"])
@pytest.mark.parametrize("shape", [(256, 384), (300, 428), (70, 52)])
def test_an_svs_reads_as_tifffile_reads_it(tmp_path, shape, compression):
    path = tmp_path / "slide.svs"
    write_svs(path, [noise(*shape, 3), noise(shape[0] // 2, shape[1] // 2, 3, seed=1)], compression=compression)
    with tifffile.TiffFile(path) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert len(levels) == 2
    assert_reads(path, levels)
    with open_source(path) as source:
        assert source.spacing_um == (0.25, 0.25)
        assert source.tile_shape(0) == source.tile_shape(1) == (64, 64)


def test_a_level_that_is_no_whole_number_of_times_smaller_is_off_by_less_than_a_level_0_pixel(tmp_path):
    path, image = tmp_path / "slide.svs", smooth(603, 1006)
    write_svs(path, [image, image[1:601:4, 1:1001:4]], compression="lzw")  # 4.02 and 4.024 times smaller
    with open_source(path) as source, tifffile.TiffFile(path) as file:
        small = file.series[0].levels[1].asarray()
        assert source.level_shapes == ((603, 1006), small.shape[:2])
        steepest = max(np.abs(np.diff(image.astype(int), axis=axis)).max() for axis in (0, 1))
        for box in random_boxes(small.shape[:2]):
            off = np.abs(source.read(box, 1).astype(int) - small[box.slices])
            inner = off[: small.shape[0] - 1 - box.start[0], : small.shape[1] - 1 - box.start[1]]
            assert inner.max(initial=0) <= 2 * steepest + 1  # at most one level-0 pixel along each axis, and rounding
        np.testing.assert_array_equal(source.read(whole(small.shape[:2]), 1), small)


def test_only_the_scanned_part_of_a_leica_slide_is_the_image_and_gaps_in_it_are_white(tmp_path):
    path, areas = tmp_path / "slide.scn", {(100, 40): noise(128, 192, 3), (260, 330): noise(64, 64, 3, seed=1)}
    write_scn(path, areas, (600, 800), spacing_um=0.5)
    image = np.full((224, 354, 3), 255, np.uint8)  # rows 100 to 324, columns 40 to 394 of the slide
    image[:128, :192], image[160:, 290:] = areas[100, 40], areas[260, 330]
    assert_reads(path, [image, halved(image)])
    with open_source(path) as source:
        assert source.spacing_um == (0.5, 0.5)
        np.testing.assert_array_equal(ScaledSource(source, (112, 177)).read(whole((112, 177))), halved(image))


@pytest.mark.parametrize("corner", [(64, 32), (61, 35)])
def test_a_corner_of_the_scan_between_two_pixels_of_a_level_moves_that_level_by_less_than_its_pixel(tmp_path, corner):
    path, image = tmp_path / "slide.scn", smooth(256, 320)
    write_scn(path, {corner: image}, (400, 480), levels=3)
    with open_source(path) as source:
        assert source.level_shapes == ((256, 320), (128, 160), (64, 80))
        for level, expected in enumerate(pyramid(image)):
            off = np.abs(source.read(whole(expected.shape[:2]), level)[:-1, :-1].astype(int) - expected[:-1, :-1])
            assert off.max() <= 14  # the waves rise by 4 a pixel of level 0


def test_a_dicom_slide_is_all_levels_of_its_folder_whichever_file_names_it(tmp_path):
    levels = pyramid(noise(128, 192, 3))
    write_dicom(tmp_path / "slide", levels, spacing_um=0.3)
    files = dicom_files(tmp_path / "slide")
    assert len(files) == 3
    for path in files:
        assert_reads(path, levels)
        with open_source(path) as source:
            assert source.spacing_um == pytest.approx((0.3, 0.3))


def test_tiles_of_a_dicom_slide_that_reach_past_its_edge_are_cut(tmp_path):
    write_dicom(tmp_path / "slide", [noise(101, 67, 3)])
    assert_reads(dicom_files(tmp_path / "slide")[0], [noise(101, 67, 3)])


def test_files_of_two_dicom_slides_in_a_folder_are_an_error_and_other_files_are_none(tmp_path):
    write_dicom(tmp_path / "slide", [noise(64, 64, 3)], series="1.2.3")
    path = dicom_files(tmp_path / "slide")[0]
    (tmp_path / "slide" / "report.dcm").write_bytes(b"no slide")
    open_source(path).close()
    write_dicom(tmp_path / "slide", [noise(32, 32, 3)], series="1.2.4")
    with pytest.raises(SourceError, match=r"slide holds .* several slides \(1\.2\.3\.1\.dcm and 1\.2\.4\.1\.dcm\)"):
        open_source(path)


def test_an_ndpi_reads_as_its_jpegs_decode(tmp_path):
    path, plain = tmp_path / "slide.ndpi", tmp_path / "same.tif"  # as which tifffile does not take it for one
    write_ndpi(path, pyramid(noise(256, 384, 3), 2))
    plain.write_bytes(path.read_bytes())
    levels = [tifffile.imread(plain, key=number) for number in (0, 1)]
    with open_source(path) as source:
        assert source.spacing_um == (0.5, 0.5)
        assert source.level_shapes[:2] == ((256, 384), (128, 192))
        for number, level in enumerate(levels):
            for box in random_boxes(level.shape[:2]):
                np.testing.assert_array_equal(source.read(box, number), level[box.slices])


def test_a_mirax_slide_is_its_scanned_tiles_over_its_fill_colour(tmp_path):
    fill, tiles = (250, 240, 230), {place: noise(32, 48, 3, seed=sum(place)) for place in [(2, 1), (2, 3), (4, 2)]}
    write_mrxs(tmp_path / "slide.mrxs", tiles, grid=(6, 5), fill=fill)
    image = np.full((6 * 32, 5 * 48, 3), fill, np.uint8)
    for (row, column), pixels in tiles.items():
        image[row * 32 : (row + 1) * 32, column * 48 : (column + 1) * 48] = pixels
    assert_reads(tmp_path / "slide.mrxs", [image[2 * 32 : 5 * 32, 48 : 4 * 48]])  # rows 2 to 4, columns 1 to 3


@pytest.mark.parametrize(("text", "said"), [(None, None), (0.499, 0.499), (352.9, None)])
def test_a_pixel_size_that_is_missing_or_implausible_is_none(tmp_path, text, said):
    write_svs(tmp_path / "slide.svs", [noise(64, 64, 3)], spacing_um=text)
    with open_source(tmp_path / "slide.svs") as source:
        assert source.spacing_um == (None if said is None else (said, said))


def test_transparent_pixels_show_the_background_in_proportion():
    pixels = np.array([[[10, 200, 30, 255], [9, 9, 9, 0], [100, 0, 250, 51]]], np.uint8)
    shown = vendor._over(pixels, np.array([240, 250, 255], np.uint8))
    # the last: 0.2 of the pixel and 0.8 of the background
    np.testing.assert_array_equal(shown, [[[10, 200, 30], [240, 250, 255], [212, 200, 254]]])
    np.testing.assert_array_equal(vendor._over(pixels[:, :1], WHITE), [[[10, 200, 30]]])


def test_an_empty_box_has_no_pixels(tmp_path):
    write_svs(tmp_path / "slide.svs", [noise(64, 64, 3)])
    with open_source(tmp_path / "slide.svs") as source:
        assert source.read(Box((64, 3), (0, 5))).shape == (0, 5, 3)


def test_threads_that_read_together_see_the_same_pixels(tmp_path):
    write_svs(tmp_path / "slide.svs", [noise(256, 256, 3)])
    boxes = list(blocks((256, 256), (48, 48)))
    with open_source(tmp_path / "slide.svs") as source, ThreadPoolExecutor(8) as pool:
        wanted = [source.read(box) for box in boxes]
        for found, pixels in zip(pool.map(source.read, boxes * 4), wanted * 4, strict=True):
            np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("ending", ["svs", "ndpi", "mrxs", "scn", "bif", "dcm", "czi", "SVS"])
def test_what_is_no_slide_is_an_error_naming_it(tmp_path, ending):
    path = tmp_path / f"bad slide.{ending}"
    path.write_text("no slide at all\n" * 50)
    with pytest.raises(SourceError, match=rf"bad slide\.{ending} is no slide that openslide knows"):
        open_source(path)


def test_a_damaged_slide_is_an_error_naming_it(tmp_path):
    path = tmp_path / "cut.svs"
    write_svs(path, [noise(256, 256, 3)])
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    with open_source(path) as source:
        source.read(Box((0, 0), (32, 32)))
        with pytest.raises(SourceError, match=r"cut\.svs is damaged"):
            source.read(whole(source.shape))


def test_a_closed_slide_is_an_error_naming_it(tmp_path):
    write_svs(tmp_path / "slide.svs", [noise(64, 64, 3)])
    with open_source(tmp_path / "slide.svs") as source:
        pass
    with pytest.raises(SourceError, match=r"slide\.svs"):
        source.read(whole((64, 64)))


def test_without_openslide_the_error_says_what_to_install(tmp_path, monkeypatch):
    write_svs(tmp_path / "slide.svs", [noise(64, 64, 3)])
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(
        SourceError, match=r"slide\.svs needs openslide.*pip install --requirement requirements-openslide\.txt"
    ):
        open_source(tmp_path / "slide.svs")
