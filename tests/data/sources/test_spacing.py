import numpy as np
import pytest
import tifffile
from openslide import OpenSlide

from data.patches.grid import whole
from data.sources import open_source
from tests.slides import noise, pyramid, write_ome
from tests.vendor_slides import write_philips

APERIO = "Aperio Image Library v11.2.1 \r\n46000x32914 [0,100 46000x32914] (256x256) JPEG/RGB Q=30|AppMag = 20"


@pytest.mark.parametrize(
    ("unit", "per_unit", "spacing_um"),
    [
        ("CENTIMETER", (40_000, 20_000), (0.5, 0.25)),
        ("INCH", (25_400, 50_800), (0.5, 1.0)),
        ("CENTIMETER", ((100_000, 3), (100_000, 3)), (0.3, 0.3)),
    ],
)
def test_the_pixel_size_in_the_tags_is_read_by_row_and_column(tmp_path, unit, per_unit, spacing_um):
    path = tmp_path / "slide.tif"  # the tags are x first, the spacing is row first
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", resolution=per_unit, resolutionunit=unit)
    with open_source(path) as source:
        assert source.spacing_um == pytest.approx(spacing_um)


@pytest.mark.parametrize("options", [{}, {"resolution": (72, 72), "resolutionunit": "NONE"}], ids=str)
def test_without_a_unit_there_is_no_pixel_size(tmp_path, options):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", **options)
    with open_source(path) as source:
        assert source.spacing_um is None


def test_the_pixel_size_of_ome_counts_before_the_tags(tmp_path):
    path = tmp_path / "slide.ome.tif"
    write_ome(path, noise(64, 64, 3), spacing_um=(0.25, 0.75), resolution=(10_000, 10_000), resolutionunit="CENTIMETER")
    with open_source(path) as source:
        assert source.spacing_um == (0.25, 0.75)


@pytest.mark.parametrize(
    "size",
    [
        {"PhysicalSizeX": 3, "PhysicalSizeXUnit": "nm"},
        {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"},
        {"PhysicalSizeX": 400.0},
        {"PhysicalSizeX": 0.0},
        {},
    ],
    ids=str,
)
def test_an_ome_pixel_size_that_is_implausible_or_missing_leaves_it_to_the_tags(tmp_path, size):
    path = tmp_path / "slide.ome.tif"
    other = {key.replace("SizeX", "SizeY"): value for key, value in size.items()}
    options = {"resolution": (10_000, 10_000), "resolutionunit": "CENTIMETER", "photometric": "rgb"}
    tifffile.imwrite(path, noise(8, 8, 3), ome=True, metadata={"axes": "YXS", **size, **other}, **options)
    with open_source(path) as source:
        assert source.spacing_um == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(("per_inch", "spacing_um"), [(72, None), (300, None), (50_800, 0.5)])
def test_a_resolution_of_a_screen_or_printer_is_no_pixel_size(tmp_path, per_inch, spacing_um):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, noise(20, 30, 3), photometric="rgb", resolution=(per_inch, per_inch), resolutionunit="INCH")
    with open_source(path) as source:
        assert source.spacing_um == (None if spacing_um is None else pytest.approx((spacing_um, spacing_um)))


@pytest.mark.parametrize(("size", "unit"), [(250, "nm"), (0.00025, "mm"), (0.25, "µm"), (0.25, "μm"), (2.5e-7, "m")])
def test_the_pixel_size_of_ome_is_read_in_its_unit(tmp_path, size, unit):
    path = tmp_path / "slide.ome.tif"
    sides = {f"PhysicalSize{axis}": size for axis in "XY"} | {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", ome=True, metadata={"axes": "YXS", **sides})
    with open_source(path) as source:
        assert source.spacing_um == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("text", ["0.4990", "0,4990"])
def test_the_pixel_size_in_the_text_of_an_aperio_scanner_counts_before_the_tags(tmp_path, text):
    path, tags = tmp_path / "slide.tif", {"resolution": (10_000, 10_000), "resolutionunit": "CENTIMETER"}
    description = f"{APERIO}|MPP = {text}|Left = 25.691574"
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", description=description, metadata=None, **tags)
    with open_source(path) as source:
        assert source.spacing_um == (0.499, 0.499)


@pytest.mark.parametrize("text", [APERIO, f"{APERIO}|MPP = 352", "A note on |MPP = 0.25"])
def test_a_text_without_a_plausible_pixel_size_of_aperio_leaves_it_to_the_tags(tmp_path, text):
    path, tags = tmp_path / "slide.tif", {"resolution": (10_000, 10_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, noise(8, 8, 3), photometric="rgb", description=text, metadata=None, **tags)
    with open_source(path) as source:
        assert source.spacing_um == pytest.approx((1.0, 1.0))


def test_the_pixel_size_and_the_true_levels_of_a_philips_tiff_are_in_its_xml(tmp_path):
    path, levels = tmp_path / "slide.tiff", pyramid(noise(256, 320, 3), 4)
    write_philips(path, levels, spacing_um=0.2526)
    with open_source(path) as source, OpenSlide(path) as second:
        assert source.spacing_um == pytest.approx((0.2526, 0.2526))
        assert float(second.properties["openslide.mpp-x"]) == pytest.approx(0.2526)
        assert source.level_shapes == tuple(level.shape[:2] for level in levels)
        assert source.level_shapes == tuple(size[::-1] for size in second.level_dimensions)
        for number, level in enumerate(levels):
            np.testing.assert_array_equal(source.read(whole(level.shape[:2]), number), level)
