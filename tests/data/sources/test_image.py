import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from data.patches.grid import Box, whole
from data.sources import SourceError, open_source
from data.sources.source import TooLargeError
from tests.pictures import chunk
from tests.slides import noise


def read(path):
    with open_source(path) as source:
        assert len(source.level_shapes) == 1
        pixels = source.read(whole(source.shape))
        assert pixels.dtype == np.uint8
        assert pixels.shape == (*source.shape, source.channels)
        return pixels


@pytest.mark.parametrize("ending", ["png", "bmp", "PNG"])
@pytest.mark.parametrize("shape", [(31, 17, 3), (1, 1, 3), (5, 40)])
def test_colour_and_grey_images_read_as_they_were_saved(tmp_path, ending, shape):
    image = noise(*shape)
    Image.fromarray(image).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read(tmp_path / f"a.{ending}"), image.reshape(*shape[:2], -1))


@pytest.mark.parametrize("ending", ["jpg", "jpeg"])
def test_a_jpeg_reads_as_pillow_decodes_it(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(31, 17, 3)).save(path)
    with Image.open(path) as second:
        np.testing.assert_array_equal(read(path), np.asarray(second))


def test_a_box_is_a_part_of_the_whole(tmp_path):
    image = noise(31, 17, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    box = Box((4, 5), (20, 3))
    with open_source(tmp_path / "a.png") as source:
        np.testing.assert_array_equal(source.read(box), image[box.slices])


def test_alpha_is_left_out(tmp_path):
    image = noise(9, 8, 4)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), image[..., :3])


def test_grey_with_alpha_has_equal_colours(tmp_path):
    image = noise(9, 8, 2)
    Image.fromarray(image, mode=None).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), np.repeat(image[..., :1], 3, -1))


def test_one_bit_is_zero_and_one(tmp_path):
    image = noise(9, 8) > 127
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], image)


def test_a_palette_gives_its_indices(tmp_path):
    image = noise(9, 8) % 4
    picture = Image.fromarray(image)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], image)


def test_an_image_is_decoded_once(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(9, 8)).save(path)
    with open_source(path) as source:
        first = source.read(whole((9, 8)))
        path.unlink()
        np.testing.assert_array_equal(source.read(whole((9, 8))), first)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
@pytest.mark.parametrize("content", [b"", b"no picture\n" * 40], ids=["empty", "text"])
def test_what_is_no_image_is_an_error_naming_it(tmp_path, ending, content):
    path = tmp_path / f"bad.{ending}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"bad\.{ending}"):
        open_source(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_a_truncated_image_is_an_error_naming_it(tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(SourceError, match=rf"cut\.{ending}"):
        read(path)


def test_sixteen_bits_are_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(noise(9, 8).astype(np.uint16) * 257).save(path)
    with pytest.raises(SourceError, match=r"deep\.png .*8 bits"):
        open_source(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_random_damage_is_only_ever_a_source_error(tmp_path):
    rng, messages = np.random.default_rng(0), []
    for ending in ("png", "jpg", "bmp"):
        Image.fromarray(noise(20, 24, 3)).save(tmp_path / f"good.{ending}")
        good, path = (tmp_path / f"good.{ending}").read_bytes(), tmp_path / f"x.{ending}"
        for _ in range(60):
            content = bytearray(good)
            for place in rng.integers(0, 80, rng.integers(1, 6)):
                content[place] = rng.integers(256)
            path.write_bytes(content)
            try:
                with open_source(path) as source:
                    if np.prod(source.shape) < 10**6:
                        source.read(whole(source.shape))
            except SourceError as error:
                messages.append(str(error))
    assert messages
    assert all("x." in message for message in messages)


def test_an_unknown_ending_is_an_error_that_lists_the_known_ones(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"a\.docx .*'\.bmp'.*'\.tiff'"):
        open_source(tmp_path / "a.docx")


@pytest.mark.parametrize("name", ["gone.tif", "gone.png"])
def test_a_missing_file_is_an_error_naming_it(tmp_path, name):
    with pytest.raises(SourceError, match=rf"{name} is missing"):
        open_source(tmp_path / name)


def test_a_folder_with_the_ending_of_an_image_is_an_error(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(SourceError, match=r"a\.tif is missing or no file"):
        open_source(tmp_path / "a.tif")


def test_a_photograph_is_turned_upright_as_its_camera_says(tmp_path):
    pixels = noise(20, 30, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways: turn by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with open_source(tmp_path / "a.png") as source:
        assert source.shape == (30, 20)
        np.testing.assert_array_equal(source.read(whole(source.shape)), np.rot90(pixels, -1))


def test_another_kind_under_a_known_ending_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(SourceError, match=r"a\.png cannot be read as an image"):
        open_source(tmp_path / "a.png")


def test_opening_decodes_nothing(tmp_path):
    Image.fromarray(noise(90, 130, 3)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])
    with open_source(tmp_path / "a.png") as source:
        assert source.shape == (90, 130)
        with pytest.raises(SourceError, match=r"a\.png is damaged"):
            source.read(whole(source.shape))


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_way_to_hold_a_camera_is_turned_as_pillow_does(value, ending, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(noise(8, 24, 3)).save(tmp_path / f"a.{ending}", exif=exif)
    with Image.open(tmp_path / f"a.{ending}") as second:
        np.testing.assert_array_equal(read(tmp_path / f"a.{ending}"), np.asarray(ImageOps.exif_transpose(second)))


def test_a_picture_whose_orientation_cannot_be_read_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(5, 9, 3)).save(tmp_path / "a.png", exif=exif)
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"eXIf")
    length = struct.unpack(">I", content[place - 4 : place])[0]
    spoilt = chunk(b"eXIf", b"MO" + content[place + 6 : place + 4 + length])
    (tmp_path / "a.png").write_bytes(content[: place - 4] + spoilt + content[place + 8 + length :])
    with pytest.raises(
        SourceError, match=r"a\.png has EXIF data that cannot be read, so that its orientation is unknown"
    ):
        read(tmp_path / "a.png")


def test_a_colour_picture_of_16_bits_is_refused_since_its_upper_bytes_may_be_empty(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(noise(31, 17, 3).astype(np.uint16) * 16))
    with pytest.raises(SourceError, match=r"a\.png has RGB;16B pixels of more than 8 bits; convert it to 8 bits"):
        open_source(tmp_path / "a.png")


def test_a_picture_that_moves_is_refused(tmp_path):
    first, second = (Image.fromarray(noise(31, 17, 3, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(SourceError, match=r"a\.png holds 2 frames"):
        open_source(tmp_path / "a.png")


def test_more_pixels_than_are_decoded_are_an_error_of_their_own(tmp_path):
    content = bytearray(imagecodecs.png_encode(noise(8, 8, 3)))
    content[16:24] = struct.pack(">II", 50_000, 50_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(TooLargeError, match=r"a\.png is too large to decode whole"):
        open_source(tmp_path / "a.png")


def test_any_error_of_the_decoder_names_the_file(tmp_path):
    text = PngInfo()
    text.add_text("a", "x" * 2_000_000, zip=True)
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.png", pnginfo=text)
    with pytest.raises(SourceError, match=r"a\.png cannot be read as an image .*MAX_TEXT_CHUNK"):
        open_source(tmp_path / "a.png")
