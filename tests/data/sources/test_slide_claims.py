"""What a TIFF declares and is not."""

import imagecodecs
import numpy as np
import pytest
import tifffile

from data.patches.grid import Box, whole
from data.sources import SourceError, open_source
from tests.slides import noise


def retag(path, **tags):
    """Give the first page's tags other values."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)


def replace_first_tile(path, content):
    """Put other bytes in the place of the first tile."""
    with tifffile.TiffFile(path) as file:
        offsets, counts = file.pages[0].dataoffsets, file.pages[0].databytecounts
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(content)
    retag(path, TileOffsets=(end, *offsets[1:]), TileByteCounts=(len(content), *counts[1:]))


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "webp", "png", "jpegxl"])
def test_a_tile_that_declares_more_pixels_than_it_has_room_for_is_never_decoded(tmp_path, monkeypatch, name):
    path, encode = tmp_path / "bomb.tif", getattr(imagecodecs, f"{name.replace('2000', '2k')}_encode")
    tifffile.imwrite(path, noise(64, 64, 3), photometric="rgb", compression=name, tile=(32, 32))
    replace_first_tile(path, bytes(encode(noise(320, 32, 3))))
    with open_source(path) as source:
        source.read(Box((32, 32), (32, 32)))
        with pytest.raises(SourceError, match=r"segment 0 .*declares \(320, 32\) pixels in place of \(32, 32\)"):
            source.read(Box((0, 0), (9, 9)))


def test_a_jpeg_tile_whose_end_is_missing_is_damage_and_not_grey(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, noise(64, 64, 3), photometric="rgb", compression="jpeg", tile=(32, 32))
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].databytecounts
    retag(path, TileByteCounts=(counts[0] // 2, *counts[1:]))
    with open_source(path) as source, pytest.raises(SourceError, match=r"segment 0 .*no end"):
        source.read(Box((0, 0), (9, 9)))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"ImageLength": 2**31, "ImageWidth": 2**31}, "4503599627370496 tiles or strips, 4 are listed"),
        ({"TileLength": 2**31}, "192.0 GiB each"),
        ({"TileWidth": 0}, r"tiles or strips of \("),
        ({"TileOffsets": (0, 0, 0, 0)}, "0 of 3072 bytes of segment 0"),
        ({"Compression": 34887}, "compression LERC, which is not read"),
        ({"Compression": 33003}, "compression APERIO_JP2000_YCBC, which is not read"),
        ({"PhotometricInterpretation": 6}, "YCbCr colours without JPEG; convert it to RGB"),
        ({"BitsPerSample": (1, 1, 1)}, "3 channels of 1 bits"),
        ({"PhotometricInterpretation": 77}, "77 colours"),
    ],
    ids=str,
)
def test_what_a_file_declares_and_cannot_be_is_an_error(tmp_path, tags, said):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, noise(64, 64, 3), photometric="rgb", tile=(32, 32))
    retag(path, **tags)
    with pytest.raises(SourceError, match=said), open_source(path) as source:
        source.read(whole(source.shape))


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((4, 40, 30), {"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}}, "4 channels that are"),
        ((2, 40, 30), {"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}}, "2 channels that are"),
        ((40, 30, 4), {"photometric": "minisblack", "planarconfig": "contig"}, "4 channels that are not colours"),
        ((3, 40, 3), {"photometric": "minisblack"}, "which 3 are the channels is unclear"),
    ],
    ids=str,
)
def test_channels_that_may_be_anything_are_an_error(tmp_path, shape, options, said):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, noise(*shape), **options)
    with pytest.raises(SourceError, match=said):
        open_source(path)


def test_of_two_images_of_one_size_none_is_chosen(tmp_path):
    path = tmp_path / "odd.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for seed in range(2):
            writer.write(noise(40, 30, 3, seed=seed), photometric="rgb")
    with pytest.raises(SourceError, match="2 images"):
        open_source(path)


@pytest.mark.parametrize("tag", ["XResolution", "ResolutionUnit"])
def test_a_damaged_pixel_size_is_none(tmp_path, tag):
    path, image = tmp_path / "odd.tif", noise(40, 30, 3)
    tifffile.imwrite(path, image, photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        content[file.pages[0].tags[tag].offset + 2] = 2  # text
    path.write_bytes(content)
    with open_source(path) as source:
        assert source.spacing_um is None
        np.testing.assert_array_equal(source.read(whole(source.shape)), image)
