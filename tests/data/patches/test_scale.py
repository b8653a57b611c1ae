import numpy as np
import pytest

from data.patches.scale import Scale, build_scale
from data.sources.source import ArraySource, SourceError
from tests.slides import make_cfg


def image(shape=(1001, 803), spacing_um=None):
    return ArraySource(np.zeros((*shape, 1), np.uint8), spacing_um)


def test_a_reduction_divides_the_sides():
    assert Scale(4).shape_of(image()) == (250, 201)
    assert Scale(2.5).shape_of(image()) == (400, 321)


def test_a_reduction_does_not_ask_for_the_pixel_size():
    assert Scale(4).shape_of(image(spacing_um=(0.5, 0.5))) == (250, 201)


def test_a_pixel_size_gives_the_reduction():
    assert Scale(0, 2.0).reduction_of(image(spacing_um=(0.5, 0.5))) == 4
    assert Scale(0, 2.0).shape_of(image(spacing_um=(0.25, 0.25))) == (125, 100)


def test_a_pixel_size_counts_before_the_reduction_where_the_image_states_its_own():
    both = Scale(10, 2.0)
    assert both.reduction_of(image(spacing_um=(0.5, 0.5))) == 4
    assert both.reduction_of(image()) == 10


def test_without_a_pixel_size_the_error_says_what_to_set():
    with pytest.raises(
        SourceError, match=r"no pixel size; set DATASETS\.SPACING_UM .* column spacing_um of DATASETS\.ID"
    ):
        Scale(0, 2.0).reduction_of(image())


@pytest.mark.parametrize(
    ("scale", "suffix"),
    [
        *[(Scale(4.0), "red4"), (Scale(2.5), "red2.5"), (Scale(0, 2.0), "2um"), (Scale(4, 0.5), "red4")],
        *[(Scale(0, reductions=(1, 2.5, 2)), "red1x2.5x2"), (Scale(0, spacings_um=(0, 1500)), "0x1500um")],
        (Scale(0, sides=(0, 256)), "0x256px"),
    ],
)
def test_the_suffix_names_the_scale(scale, suffix):
    assert scale.suffix == suffix


def test_the_config_gives_a_pixel_size_or_a_reduction():
    assert build_scale(make_cfg()) == Scale(4.0)
    assert build_scale(make_cfg(TILES_SPACING_UM=2.0, TILES_REDUCTION=8.0)) == Scale(0.0, 2.0)


def volume(shape=(35, 101, 80), spacing_um=None):
    return image(shape, spacing_um)


def test_reductions_pixel_sizes_and_sides_may_differ_by_axis():
    assert Scale(0, reductions=(1, 2, 2)).shape_of(volume()) == (35, 50, 40)
    assert Scale(0, spacings_um=(0, 2000, 1500)).shape_of(volume(spacing_um=(2500, 1000, 750))) == (35, 50, 40)
    assert Scale(0, spacings_um=(1250, 0, 0)).shape_of(volume(spacing_um=(2500, 1000, 750))) == (70, 101, 80)
    assert Scale(0, sides=(0, 256, 64)).shape_of(volume()) == (35, 256, 64)


def test_a_scale_by_axis_is_for_images_of_as_many():
    with pytest.raises(SourceError, match=r"has 2 axes, the network's scale is for 3: \(1, 2, 2\)"):
        Scale(0, reductions=(1, 2, 2)).shape_of(image())
    with pytest.raises(SourceError, match="no pixel size"):
        Scale(0, spacings_um=(0, 2000, 1500)).shape_of(volume())
    with pytest.raises(SourceError, match="mend its header"):
        Scale(0, spacings_um=(0, 1, 1)).shape_of(volume(spacing_um=(2500, 1000, 750)))


def test_the_config_gives_a_scale_by_axis():
    assert build_scale(make_cfg(TILES_REDUCTIONS=[1, 2, 2])) == Scale(0.0, reductions=(1.0, 2.0, 2.0))
    both = make_cfg(TILES_REDUCTIONS=[1, 2, 2], TILES_SPACINGS_UM=[0, 1500, 1500])
    assert build_scale(both) == Scale(0.0, spacings_um=(0.0, 1500.0, 1500.0))
    assert build_scale(make_cfg(TILES_SIDES=[0, 256, 256])) == Scale(0.0, sides=(0, 256, 256))


def test_a_pixel_size_far_from_the_network_s_is_an_error_and_not_a_giant_or_a_dot():
    for spacing_um in (0.001, 400.0):
        source = ArraySource(np.zeros((30, 30, 3), np.uint8), (spacing_um, spacing_um))
        with pytest.raises(SourceError, match=r"set DATASETS\.SPACING_UM"):
            Scale(4.0, 2.0).shape_of(source)


def test_a_reduction_in_place_of_an_unknown_pixel_size_is_doubted():
    both = Scale(4, 2.0)
    assert "4 of its pixels are taken for one of 2 um" in both.doubt_about(image())
    assert "DATASETS.SPACING_UM" in both.doubt_about(image())
    for certain, source in ((both, image(spacing_um=(0.5, 0.5))), (Scale(4), image()), (Scale(0, 2.0), image())):
        assert certain.doubt_about(source) == ""
