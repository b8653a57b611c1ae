import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from openslide import OpenSlide
from PIL import Image

from data.patches.grid import Box, blocks, whole
from data.sources import SourceError, open_source, slide
from data.sources.slide import TiffSource, _Level
from tests.slides import noise, pyramid, write_ome, write_pyramid

SHAPES = [(101, 67), (64, 96), (1, 1), (33, 200)]


def random_boxes(shape, count=12, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        start = tuple(int(rng.integers(0, n)) for n in shape)
        yield Box(start, tuple(int(rng.integers(1, n - a + 1)) for a, n in zip(start, shape, strict=True)))
    yield whole(shape)


def assert_reads(path, levels, spacing_um=None):
    """Every box at every level is the same as in the arrays (rows, columns, channels) that a second reader gives."""
    with open_source(path) as source:
        assert source.level_shapes == tuple(level.shape[:2] for level in levels)
        assert source.channels == levels[0].shape[2]
        for number, level in enumerate(levels):
            for box in random_boxes(level.shape[:2], seed=number):
                pixels = source.read(box, number)
                assert pixels.dtype == np.uint8
                np.testing.assert_array_equal(pixels, level[box.slices])
        if spacing_um:
            assert source.spacing_um == pytest.approx(spacing_um)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "layout",
    [
        {"rowsperstrip": 1},
        {"rowsperstrip": 7},
        {"rowsperstrip": 1000},
        {"tile": (16, 16)},
        {"tile": (32, 48)},
        {"tile": (16, 16), "planarconfig": "separate"},
        {"rowsperstrip": 5, "planarconfig": "separate"},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_strips_tiles_and_planes_read_as_tifffile_reads_them(tmp_path, shape, layout):
    path, image = tmp_path / "slide.tif", noise(*shape, 3)
    planar = layout.get("planarconfig") == "separate"
    tifffile.imwrite(
        path, np.ascontiguousarray(np.moveaxis(image, -1, 0)) if planar else image, photometric="rgb", **layout
    )
    second = tifffile.imread(path)
    assert_reads(path, [np.moveaxis(second, 0, -1) if planar else second])
    np.testing.assert_array_equal(np.moveaxis(second, 0, -1) if planar else second, image)


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits", "zstd", "jpeg", "jpeg2000"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (32, 32)}], ids=str)
def test_compressions_read_as_tifffile_reads_them(tmp_path, compression, layout):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, noise(70, 45, 3), photometric="rgb", compression=compression, **layout)
    assert_reads(path, [tifffile.imread(path)])


@pytest.mark.parametrize("compression", ["deflate", "lzw"])
def test_a_predictor_is_undone(tmp_path, compression):
    path, image = tmp_path / "slide.tif", noise(70, 45, 3)
    tifffile.imwrite(path, image, photometric="rgb", compression=compression, predictor=True, tile=(32, 32))
    assert_reads(path, [image])


def test_subsampled_jpeg_comes_out_as_rgb(tmp_path):
    path = tmp_path / "slide.tif"
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 40
    tifffile.imwrite(path, image, photometric="rgb", subsampling=(2, 2), compression="jpeg", tile=(32, 32))
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    assert_reads(path, [tifffile.imread(path)])
    with open_source(path) as source:
        assert np.abs(source.read(whole((64, 64))).astype(int) - image).max() <= 4


@pytest.mark.parametrize("shape", [(256, 192), (251, 187), (97, 130)])
@pytest.mark.parametrize("write", [write_pyramid, write_ome])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"compression": "jpeg"}], ids=str)
def test_each_level_of_a_pyramid_reads_as_tifffile_reads_it(tmp_path, shape, write, options):
    path, image = tmp_path / "slide.tif", noise(*shape, 3)
    big = options.get("bigtiff", False)
    write(path, image, **{key: value for key, value in options.items() if key != "bigtiff"})
    if big:
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for number, level in enumerate(pyramid(image)):
                writer.write(level, subfiletype=int(number > 0), metadata=None, photometric="rgb", tile=(32, 32))
    with tifffile.TiffFile(path) as file:
        pages = [file.pages[0], *(file.pages[0].pages or file.pages[1:])]
        levels = [page.asarray() for page in pages]
    assert len(levels) == 3
    assert_reads(path, levels, None if big else (0.5, 0.5))
    if not options:
        for level, given in zip(levels, pyramid(image), strict=True):
            np.testing.assert_array_equal(level, given)


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw", "jpeg"])
def test_a_file_of_another_writer_reads_as_its_own_reader_reads_it(tmp_path, compression):
    path = tmp_path / "slide.tif"
    Image.fromarray(noise(70, 45, 3)).save(path, compression=compression)
    with Image.open(path) as second:
        assert_reads(path, [np.asarray(second)])


def five_axes(image):
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))[None, None]


@pytest.mark.parametrize(
    ("pages", "options"),
    [
        (1, {"photometric": "rgb", "planarconfig": "separate"}),
        (1, {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16)}),
        (1, {"photometric": "rgb", "planarconfig": "separate", "ome": True, "metadata": {"axes": "TZCYX"}}),
        (3, {"photometric": "minisblack"}),
        (3, {"photometric": "minisblack", "tile": (16, 16), "compression": "deflate"}),
        (3, {"photometric": "minisblack", "ome": True, "metadata": {"axes": "TZCYX"}}),
        (3, {"photometric": "minisblack", "imagej": True}),
    ],
    ids=str,
)
def test_one_by_one_by_three_planes_are_rgb_in_one_page_or_three(tmp_path, pages, options):
    path, image = tmp_path / "slide.tif", noise(53, 37, 3)
    tifffile.imwrite(path, five_axes(image), **options)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == pages
    assert_reads(path, [image])


def test_channels_without_pages_of_their_own_are_refused_and_not_black(tmp_path):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, five_axes(noise(53, 37, 3)), photometric="minisblack", imagej=True, truncate=True)
    with pytest.raises(SourceError, match=r"slide\.tif has 3 channels in 1 pages"):
        open_source(path)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"photometric": "miniswhite"}], ids=str)
def test_a_grey_image_has_one_channel(tmp_path, options):
    path, image = tmp_path / "slide.tif", noise(40, 30)
    tifffile.imwrite(path, image, **options)
    assert_reads(path, [image[..., None]])


@pytest.mark.parametrize("samples", [2, 4])
def test_an_alpha_channel_is_left_out(tmp_path, samples):
    path, image = tmp_path / "slide.tif", noise(40, 30, samples)
    photometric = "rgb" if samples == 4 else "minisblack"
    tifffile.imwrite(
        path, image, photometric=photometric, planarconfig="contig", extrasamples=["unassalpha"], tile=(16, 16)
    )
    assert_reads(path, [image[..., : samples - 1]])


def test_a_planar_alpha_channel_is_left_out(tmp_path):
    path, image = tmp_path / "slide.tif", noise(4, 40, 30)
    tifffile.imwrite(path, image, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    assert_reads(path, [np.moveaxis(image[:3], 0, -1)])


def test_a_palette_image_gives_its_indices(tmp_path):
    path, image = tmp_path / "slide.tif", noise(40, 30)
    tifffile.imwrite(path, image, photometric="palette", colormap=noise(3, 256, seed=1).astype(np.uint16) * 257)
    assert_reads(path, [image[..., None]])


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 3}], ids=str)
def test_one_bit_pixels_are_zero_and_one(tmp_path, options):
    path, image = tmp_path / "slide.tif", noise(41, 29) > 127
    tifffile.imwrite(path, image, **options)
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].bitspersample == 1
    assert_reads(path, [image[..., None].astype(np.uint8)])


def test_a_label_and_a_macro_picture_are_no_levels(tmp_path):
    path, image = tmp_path / "slide.tif", noise(120, 160, 3)
    with tifffile.TiffWriter(path) as writer:
        for number, picture in enumerate([image, image[::2, ::2], noise(50, 20, 3), noise(20, 100, 3)]):
            writer.write(picture, photometric="rgb", subfiletype=int(number > 0), metadata=None)
    assert_reads(path, [image, image[::2, ::2]])


def test_a_thumbnail_before_the_slide_gives_neither_its_pixels_nor_its_pixel_size(tmp_path):
    path, image = tmp_path / "slide.tif", noise(60, 160, 3)
    with tifffile.TiffWriter(path) as writer:
        scale = {"photometric": "rgb", "metadata": None, "resolutionunit": "CENTIMETER"}
        writer.write(noise(90, 20, 3), resolution=(100, 100), **scale)  # taller, but of fewer pixels
        writer.write(image, resolution=(20_000, 20_000), **scale)
    assert_reads(path, [image], (0.5, 0.5))


def write_sparse(path, image, **options):
    """Tiles of 32 of which every other one is left out; the boxes of these."""
    boxes = list(blocks(image.shape[:2], (32, 32)))
    tiles = (None if n % 2 else np.ascontiguousarray(image[box.slices]) for n, box in enumerate(boxes))
    tifffile.imwrite(path, tiles, shape=image.shape, dtype=np.uint8, tile=(32, 32), metadata=None, **options)
    return boxes[1::2]


@pytest.mark.parametrize("compression", ["none", "deflate", "jpeg"])
def test_a_tile_that_was_never_written_is_white_as_openslide_shows_it(tmp_path, compression):
    path = tmp_path / "slide.tif"
    missing = write_sparse(path, noise(64, 96, 3), photometric="rgb", compression=compression)
    with OpenSlide(path) as slide:
        shown = slide.read_region((0, 0), 0, slide.dimensions)
    canvas = Image.new("RGBA", shown.size, "white")
    canvas.alpha_composite(shown)
    image = np.asarray(canvas.convert("RGB"))
    assert all((image[box.slices] == 255).all() for box in missing)
    assert_reads(path, [image])


def test_a_tile_of_a_mask_that_was_never_written_is_background(tmp_path):
    path, mask = tmp_path / "mask.tif", noise(64, 96) // 128
    for box in write_sparse(path, mask, photometric="minisblack", compression="deflate"):
        mask[box.slices] = 0
    assert_reads(path, [mask[..., None]])


def not_a_tiff(path):
    path.write_text("no picture at all\n" * 50)


def empty(path):
    path.write_bytes(b"")


def no_pages(path):
    path.write_bytes(b"II*\0" + struct.pack("<I", 0))


def cut_in_the_directory(path):
    tifffile.imwrite(path, noise(40, 40, 3), photometric="rgb")
    path.write_bytes(path.read_bytes()[:60])


def sixteen_bits(path):
    tifffile.imwrite(path, noise(8, 8, 3).astype(np.uint16), photometric="rgb")


def five_channels(path):
    tifffile.imwrite(path, noise(8, 8, 5), photometric="minisblack", planarconfig="contig")


def two_times(path):
    tifffile.imwrite(path, noise(2, 8, 8, 3), photometric="rgb", ome=True, metadata={"axes": "TYXS"})


def two_rgb_channels(path):
    tifffile.imwrite(path, noise(2, 8, 8, 3), photometric="rgb", ome=True, metadata={"axes": "CYXS"})


def three_slices(path):
    tifffile.imwrite(path, noise(3, 8, 8), photometric="minisblack", ome=True, metadata={"axes": "ZYX"})


def cmyk(path):
    tifffile.imwrite(path, noise(8, 8, 4), photometric="separated")


def broken_ome(path):
    text = '<?xml version="1.0"?><OME><Image><Pixels & ></OME>'
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", description=text, metadata=None)


BAD = [
    (not_a_tiff, "no readable TIFF"),
    (empty, "no readable TIFF"),
    (no_pages, "no image"),
    (cut_in_the_directory, ""),
    (sixteen_bits, "uint16"),
    (five_channels, "5 channels"),
    (two_times, "TYXS"),
    (two_rgb_channels, "CYXS"),
    (three_slices, "ZYX"),
    (cmyk, "SEPARATED"),
    (broken_ome, "no readable TIFF"),
]


@pytest.mark.parametrize(("spoil", "said"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_a_file_that_cannot_be_read_is_an_error_naming_it(tmp_path, spoil, said):
    path = tmp_path / "bad slide.tif"
    spoil(path)
    with pytest.raises(SourceError, match=rf"bad slide\.tif.*{said}"):
        open_source(path)


@pytest.mark.parametrize("options", [{"tile": (32, 32)}, {"rowsperstrip": 8}], ids=str)
@pytest.mark.parametrize("compression", ["none", "deflate", "jpeg"])
def test_a_truncated_tile_is_an_error_and_the_whole_ones_still_read(tmp_path, options, compression):
    path, image = tmp_path / "cut.tif", noise(96, 64, 3)
    tifffile.imwrite(path, image, photometric="rgb", compression=compression, **options)
    with tifffile.TiffFile(path) as file:
        end = file.pages[0].dataoffsets[-1] + file.pages[0].databytecounts[-1] // 2
        expected = file.asarray()
    path.write_bytes(path.read_bytes()[:end])
    with open_source(path) as source:
        np.testing.assert_array_equal(source.read(Box((0, 0), (32, 32))), expected[:32, :32])
        with pytest.raises(SourceError, match=r"cut\.tif is damaged"):
            source.read(whole(source.shape))


def test_a_tile_of_rubbish_is_an_error_naming_file_and_segment(tmp_path):
    path = tmp_path / "rubbish.tif"
    tifffile.imwrite(path, noise(64, 64, 3), photometric="rgb", compression="deflate", tile=(32, 32))
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[3], file.pages[0].databytecounts[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    with open_source(path) as source, pytest.raises(SourceError, match=r"rubbish\.tif is damaged: segment 3"):
        source.read(whole(source.shape))


def test_random_damage_is_only_ever_a_source_error(tmp_path):
    rng, messages = np.random.default_rng(0), []
    write_ome(tmp_path / "ome.tif", noise(40, 52, 3), levels=2)
    write_pyramid(tmp_path / "plain.tif", noise(40, 52, 3), levels=2, compression="deflate")
    for good in (path.read_bytes() for path in sorted(tmp_path.iterdir())):
        for _ in range(60):
            content = bytearray(good)
            for place in rng.integers(0, len(good), rng.integers(1, 20)):
                content[place] = rng.integers(256)
            path = tmp_path / "x.tif"
            path.write_bytes(content[: rng.integers(len(good) // 2, len(good) + 1)])
            try:
                with open_source(path) as source:
                    for level, shape in enumerate(source.level_shapes):
                        source.read(Box((0, 0), (32, 32)).within(shape), level)
            except SourceError as error:
                messages.append(str(error))
    assert messages
    assert all("x.tif" in message for message in messages)


def test_an_empty_box_has_no_pixels(tmp_path):
    write_pyramid(tmp_path / "slide.tif", noise(64, 64, 3))
    with open_source(tmp_path / "slide.tif") as source:
        assert source.read(Box((64, 3), (0, 5))).shape == (0, 5, 3)


def test_closing_releases_the_file(tmp_path):
    write_pyramid(tmp_path / "slide.tif", noise(64, 64, 3))
    with TiffSource(tmp_path / "slide.tif") as source:
        pass
    with pytest.raises(SourceError, match=r"slide\.tif"):
        source.read(whole((64, 64)))


@pytest.mark.parametrize("limit", [1, 500, 5000])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "rgb", "planarconfig": "separate", "rowsperstrip": 20},
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "imagej": True},
    ],
    ids=str,
)
def test_one_long_strip_of_bare_bytes_is_read_in_parts(tmp_path, monkeypatch, limit, options):
    path, image = tmp_path / "slide.tif", noise(53, 37, 3)
    monkeypatch.setattr(slide, "PLAIN_BYTES", limit)
    tifffile.imwrite(path, five_axes(image), **options)
    assert_reads(path, [image])
    tifffile.imwrite(path, image, photometric="rgb")
    assert_reads(path, [image])


def test_a_box_of_one_long_strip_reads_only_the_bytes_near_its_rows(tmp_path, monkeypatch):
    path, image, read = tmp_path / "slide.tif", noise(1000, 500, 3), []
    tifffile.imwrite(path, image, photometric="rgb")
    monkeypatch.setattr(slide, "PLAIN_BYTES", 30_000)
    with TiffSource(path) as source:
        locate = source._levels[0]._locate
        monkeypatch.setattr(source._levels[0], "_locate", lambda *place: read.append(locate(*place)) or read[-1])
        source.read(Box((500, 0), (40, 500)))
    assert sum(count for _, count in read) <= 40 * 1500 + 30_000


def test_only_the_tiles_under_the_box_are_decoded(tmp_path, monkeypatch):
    path, seen = tmp_path / "slide.tif", []
    tifffile.imwrite(path, noise(128, 128, 3), photometric="rgb", tile=(32, 32))
    with TiffSource(path) as source:
        decode = source._levels[0]._decode
        monkeypatch.setattr(
            source._levels[0], "_decode", lambda page, index, lock: seen.append(index) or decode(page, index, lock)
        )
        source.read(Box((32, 31), (32, 2)))
    assert seen == [4, 5]


def test_a_strip_that_many_boxes_share_is_decoded_once(tmp_path, monkeypatch):
    path, image = tmp_path / "slide.tif", noise(64, 300, 3)
    tifffile.imwrite(path, image, rowsperstrip=16, compression="zlib", photometric="rgb")
    decoded = []
    plain = _Level._decode
    monkeypatch.setattr(_Level, "_decode", lambda self, *args: decoded.append(args[1]) or plain(self, *args))
    with open_source(path) as source:
        for box in blocks((64, 300), (16, 30)):
            np.testing.assert_array_equal(source.read(box), image[box.slices])
    assert sorted(decoded) == [0, 1, 2, 3]


def test_threads_that_begin_to_read_together_see_the_same_pixels(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(16, 16), compression="jpeg")
    boxes = list(blocks((128, 128), (16, 16)))
    with TiffSource(tmp_path / "a.tif") as source:
        wanted = [source.read(box) for box in boxes]
    for _ in range(20):
        with TiffSource(tmp_path / "a.tif") as source, ThreadPoolExecutor(8) as pool:
            for found, pixels in zip(pool.map(source.read, boxes), wanted, strict=True):
                np.testing.assert_array_equal(found, pixels)
