import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import tifffile
import tiffslide
from scipy import ndimage

from data.patches.grid import whole
from data.stitching.mask import MaskView
from data.stitching.probability_map import Frame
from data.writers.mask_ome import write_mask_ome
from data.writers.mask_tiff import pyramid_shapes
from tests.maps import memory_map

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def write(path, spacing_um=(0.5, 0.25), level0=(1201, 2803)):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((2, 300, 700)), (0, 4, 4))
    probabilities = memory_map(
        (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8), ["gland", "\u00b5 & <b>"]
    )
    probabilities.frame = Frame((0, 0), level0, level0, ("gland", "\u00b5 & <b>"), spacing_um)
    write_mask_ome(path, "case 1", probabilities, 0.5)
    return probabilities


@pytest.fixture(scope="module")
def ome(tmp_path_factory):
    path = tmp_path_factory.mktemp("ome") / "a.ome.tiff"
    return path, write(path)


def test_two_readers_see_the_pyramid_and_the_pixels(ome):
    path, probabilities = ome
    shapes = pyramid_shapes(probabilities.frame.shape_level0)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert len(file.pages) == 1
        levels = [level.asarray() for level in file.series[0].levels]
    for found, shape in zip(levels, shapes, strict=True):
        wanted = MaskView(probabilities.on_image(shape), 0.5).read(whole(shape))
        np.testing.assert_array_equal(found, wanted)
    with tiffslide.TiffSlide(path) as slide:
        assert slide.level_dimensions == tuple(shape[::-1] for shape in shapes)


def test_the_xml_tells_pixel_size_and_classes(ome):
    path, _ = ome
    with tifffile.TiffFile(path) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    pixels = root.find(f"{OME}Image/{OME}Pixels")
    assert (pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX")) == ("0.5", "0.25")
    assert {pixels.get(f"PhysicalSize{axis}Unit") for axis in "XY"} == {"\u00b5m"}
    assert root.find(f"{OME}Image").get("Name") == "case 1"
    entries = root.iter(f"{OME}M")
    assert {entry.get("K"): entry.text for entry in entries} == {"1": "gland", "2": "\u00b5 & <b>"}


def test_equal_masks_give_equal_bytes_and_no_pixel_size_is_made_up(tmp_path):
    for name in "ab":
        write(tmp_path / name, spacing_um=None, level0=(300, 700))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tifffile.TiffFile(tmp_path / "a") as file:
        assert "PhysicalSize" not in file.ome_metadata
