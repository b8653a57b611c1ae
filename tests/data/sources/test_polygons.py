import logging

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from data.patches.grid import Box, whole
from data.sources import polygons as polygons_module
from data.sources.class_names import ClassNames
from data.sources.outline import Outline
from data.sources.polygons import fill, find_area, outline_labels, unite
from data.sources.runs import IGNORE
from data.sources.source import SourceError
from tests.outlines import paint, polygons_of

NAMES = ClassNames(["a", "b"], {"hole": "background", "Ignore*": "ignore", "tissue": "drop"})
SQUARE = [(1, 1), (5, 1), (5, 5), (1, 5)]


def outline(*rings, name="object 1", class_name="a", removed=()):
    arrays = [np.array(ring, np.float64).reshape(-1, 2) for ring in rings]
    return Outline(name, class_name, [arrays], [[np.array(ring, np.float64)] for ring in removed])


def outline_of(polygon, name="object 1", class_name="a"):
    parts = polygon.geoms if hasattr(polygon, "geoms") else [polygon]
    rings = [[np.array(ring.coords) for ring in (part.exterior, *part.interiors)] for part in parts]
    return Outline(name, class_name, rings)


def read(outlines, shape, names=NAMES):
    return outline_labels(outlines, shape, names, "a.geojson").read(whole(shape))[..., 0]


def blob(rng, centre, radius, corners=9):
    angles = np.sort(rng.random(corners)) * 2 * np.pi
    return np.array(centre) + np.column_stack([np.cos(angles), np.sin(angles)]) * radius * rng.uniform(
        0.5, 1.2, (corners, 1)
    )


# ---- which pixels


def test_a_square_on_the_edges_of_pixels_fills_those_inside_by_hand():
    assert read([outline([(1, 0), (3, 0), (3, 2), (1, 2)])], (3, 4)).tolist() == [
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]


def test_a_pixel_is_inside_where_its_centre_is_by_hand():
    triangle = [(0, 0), (4, 0), (0, 4.1)]  # the centres of the diagonal lie just inside
    assert read([outline(triangle)], (4, 4)).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]


def test_a_hole_stays_open_and_an_island_in_it_is_filled():
    inside, island = [(2, 2), (4, 2), (4, 4), (2, 4)], [(3, 3), (4, 3), (4, 4), (3, 4)]
    mask = read([outline(SQUARE, inside), outline(island)], (6, 6))
    assert mask.sum() == 16 - 4 + 1
    assert mask[2:4, 2:4].tolist() == [[0, 0], [0, 1]]


def test_areas_that_share_an_edge_share_no_pixel_and_leave_none_out():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 41, (60, 2)) / 2  # centres of pixels lie on many edges
    triangles = shapely.delaunay_triangles(shapely.MultiPoint(corners))
    parts = [fill([triangle], (20, 20)) for triangle in triangles.geoms]
    pixels = np.concatenate(
        [np.arange(a, a + n) for starts, lengths in parts for a, n in zip(starts, lengths, strict=True)]
    )
    assert len(pixels) == len(np.unique(pixels))
    together = unite([fill([shapely.union_all(triangles.geoms)], (20, 20))])
    assert len(pixels) == together[1].sum()


@pytest.mark.parametrize("seed", range(5))
def test_objects_of_any_form_are_filled_as_another_implementation_does(seed):
    rng = np.random.default_rng(seed)
    objects = []
    for _ in range(25):
        polygon = shapely.Polygon(blob(rng, rng.uniform(-10, 110, 2), 25), [blob(rng, rng.uniform(0, 100, 2), 5)])
        objects.append((str(rng.choice(["a", "b"])), shapely.make_valid(polygon, method="structure")))
    outlines = [outline_of(polygon, class_name=name) for name, polygon in objects if not polygon.is_empty]
    inside = [each for each in outlines if find_area(each)[0].intersects(shapely.box(0, 0, 100, 90))]
    np.testing.assert_array_equal(read(inside, (90, 100)), paint(objects, ["a", "b"], (90, 100)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24))
def test_from_a_mask_to_outlines_and_back_is_the_identity(seed, rows, columns):
    mask = np.random.default_rng(seed).choice([0, 0, 1, 2], (rows, columns)).astype(np.uint8)
    outlines = [outline_of(polygon, class_name=name) for name, polygon in polygons_of(mask, ["a", "b"])]
    np.testing.assert_array_equal(read(outlines, (rows, columns)), mask)


def test_regions_equal_the_whole():
    rng = np.random.default_rng(0)
    outlines = [outline(blob(rng, rng.uniform(0, 60, 2), 12)) for _ in range(20)]
    labels = outline_labels(outlines, (50, 60), NAMES, "a.geojson")
    every = labels.read(whole((50, 60)))
    for start in np.ndindex(5, 6):
        box = Box(tuple(10 * n for n in start), (10, 10))
        np.testing.assert_array_equal(labels.read(box), every[box.slices])
        assert labels.is_empty(box) == (not every[box.slices].any())


def test_many_objects_are_filled_a_few_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    outlines = [outline(blob(rng, rng.uniform(0, 60, 2), 12), class_name="ab"[i % 2]) for i in range(20)]
    wanted, sizes = read(outlines, (50, 60)), []
    monkeypatch.setattr(polygons_module, "AT_ONCE", 3)
    monkeypatch.setattr(polygons_module, "fill", lambda areas, shape: sizes.append(len(areas)) or fill(areas, shape))
    np.testing.assert_array_equal(read(outlines, (50, 60)), wanted)
    assert max(sizes) == 3
    assert sum(sizes) == 20


def test_what_lies_over_the_border_is_cut_there():
    mask = read(
        [outline([(-5, -7), (3, -7), (3, 2), (-5, 2)]), outline([(3, 2), (1e9, 2), (1e9, 1e9), (3, 1e9)])], (4, 5)
    )
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]


def test_runs_that_touch_or_overlap_become_one():
    starts, lengths = unite([(np.array([10, 0]), np.array([5, 3])), (np.array([3, 12, 30]), np.array([2, 1, 2]))])
    assert (starts.tolist(), lengths.tolist()) == ([0, 10, 30], [5, 5, 2])
    assert [len(each) for each in unite([(np.zeros(0, int), np.zeros(0, int))])] == [0, 0]


def test_runs_of_pixels_and_outlines_mix():
    pixels = Outline("annotation 1", "a", runs=(np.array([0, 4]), np.array([2, 1])))
    assert read([pixels, outline([(1, 1), (2, 1), (2, 3), (1, 3)])], (3, 2)).T.tolist() == [[1, 1, 0], [0, 1, 1]]


# ---- which class


def test_where_classes_overlap_the_last_of_the_config_counts_in_any_order_of_the_file():
    left, right = [(0, 0), (3, 0), (3, 1), (0, 1)], [(1, 0), (4, 0), (4, 1), (1, 1)]
    objects = [outline(left, class_name="b"), outline(right, class_name="a")]
    for order in (objects, objects[::-1]):
        assert read(order, (1, 4)).tolist() == [[2, 2, 2, 1]]


def test_background_takes_away_and_what_is_ignored_lies_above_all():
    def stripe(left, right, class_name):
        return outline([(left, 0), (right, 0), (right, 1), (left, 1)], class_name=class_name)

    objects = [stripe(4, 6, "Ignore*"), stripe(2, 5, "hole"), stripe(0, 8, "b"), stripe(0, 8, "tissue")]
    assert read(objects, (1, 9)).tolist() == [[2, 2, 0, 0, IGNORE, IGNORE, 2, 2, 0]]


def test_holes_that_were_drawn_as_objects_are_taken_from_their_own_object_alone():
    objects = [outline(SQUARE, removed=[[(1, 1), (9, 1), (9, 3), (1, 3)]]), outline([(4, 0), (6, 0), (6, 6), (4, 6)])]
    mask = read(objects, (6, 6))
    assert mask[1:3].tolist() == [[0, 0, 0, 0, 1, 1]] * 2
    assert mask[3:5].tolist() == [[0, 1, 1, 1, 1, 1]] * 2


def test_an_island_in_a_hole_stays():
    hole, island = [(2, 2), (5, 2), (5, 5), (2, 5)], [(3, 3), (4, 3), (4, 4), (3, 4)]
    outer = [(0, 0), (7, 0), (7, 7), (0, 7)]
    assert read([outline(outer, removed=[hole]), outline(island, removed=[hole])], (7, 7)).sum() == 49 - 9 + 1


def test_an_unknown_class_is_named_with_its_object_and_the_known_ones():
    with pytest.raises(SourceError, match=r"object 7 has class 'A'; DATASETS\.CLASSES are \['a', 'b'\]"):
        read([outline(SQUARE, name="object 7", class_name="A")], (6, 6))
    with pytest.raises(SourceError, match=r"object 7 has no class; .* DATASETS\.LABEL_NAMES"):
        read([outline(SQUARE, name="object 7", class_name="")], (6, 6))


def test_no_objects_are_background():
    assert not read([], (6, 6)).any()


# ---- what is wrong with an outline


@pytest.mark.parametrize(
    ("rings", "pixels"),
    [
        ([[(0, 0), (4, 4.1), (4, 0), (0, 4.1)]], 4 + 4),  # a bow tie keeps both of its halves
        ([[(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (2, 0), (2, 2), (0, 2)]], 16),  # a part that is gone round twice
        ([SQUARE, [(7, 7), (8, 7), (8, 8), (7, 8)]], 16),  # a hole outside
        ([SQUARE, [(3, 3), (8, 3), (8, 4), (3, 4)]], 14),  # a hole across the border
        ([SQUARE, [(2, 2), (4, 2), (4, 4), (2, 4)], [(2, 2), (4, 2), (4, 4), (2, 4)]], 12),  # a hole twice
        ([[(1, 1), (5, 1), (5, 5), (1, 5), (1, 7), (1, 5)]], 16),  # a spike
    ],
)
def test_rings_that_cross_are_mended_and_their_object_is_named(caplog, rings, pixels):
    with caplog.at_level(logging.WARNING):
        mask = read([outline(*rings, name="object 3 (glom)")], (9, 9))
    assert mask.sum() == pixels
    assert "a.geojson: object 3 (glom), whose outline crosses itself" in caplog.text


@pytest.mark.parametrize(
    "ring", [SQUARE, [*SQUARE, SQUARE[0]], [*SQUARE, *SQUARE[:1] * 3], np.repeat(SQUARE, 3, axis=0), SQUARE[::-1]]
)
def test_open_and_closed_rings_doubled_points_and_both_directions_are_one_area(caplog, ring):
    mask = read([outline(ring)], (6, 6))
    assert mask.sum() == mask[1:5, 1:5].sum() == 16
    assert caplog.text == ""


@pytest.mark.parametrize(
    "ring", [[], [(1, 1)], [(1, 1), (4, 4)], [(1, 1), (4, 4), (1, 1)], [(2, 2)] * 5, [(0, 0), (2, 2), (4, 4)]]
)
def test_an_object_without_area_is_left_out_and_named(caplog, ring):
    with caplog.at_level(logging.WARNING):
        mask = read([outline(ring, name="object 2"), outline(SQUARE)], (6, 6))
    assert mask.sum() == 16
    assert "a.geojson: object 2, without any area: left out" in caplog.text


def test_points_and_lines_may_have_any_class(caplog):
    assert not read([Outline("object 1", "cells counted")], (6, 6)).any()
    assert "object 1, without any area" in caplog.text


def test_a_line_of_the_log_names_the_first_objects_and_counts_the_others(caplog):
    read([outline([], name=f"object {i}") for i in range(1, 9)], (6, 6))
    assert [record.message for record in caplog.records] == [
        "a.geojson: object 1, object 2, object 3 and 5 more, without any area: left out"
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, -(2.0**31), 2.0**31])
def test_a_coordinate_that_is_no_place_is_refused_with_its_object(bad):
    for rings in ([[(1, 1), (bad, 1), (5, 5)]], [SQUARE, [(2, 2), (3, bad), (3, 3)]]):
        with pytest.raises(SourceError, match=r"object 4 has the coordinate .*, which is no place"):
            read([outline(*rings, name="object 4")], (6, 6))


def test_a_scribble_is_refused_before_it_takes_minutes():
    ring = np.random.default_rng(0).uniform(0, 100, (2000, 2))
    with pytest.raises(SourceError, match="object 3 crosses itself too often"):
        outline_labels([Outline("object 3", "a", [[ring]])], (100, 100), ClassNames(["a"]), "x.geojson")


def test_a_zigzag_is_refused_before_it_takes_gigabytes():
    xs = np.where(np.arange(4000) % 2, 99_000, 1000)
    ring = np.vstack([[(0, 0)], np.stack([xs, np.arange(4000) * 2], 1), [(0, 8999)]])
    with pytest.raises(SourceError, match="object 4 goes to and fro over 3"):
        outline_labels([Outline("object 4", "a", [[ring]])], (9000, 100_000), ClassNames(["a"]), "x.geojson")


def test_polygons_are_filled_in_parts_to_the_same_pixels(monkeypatch):
    rings = [[np.array([(x, 1), (x + 5, 2), (x + 6, 8), (x + 1, 7)])] for x in range(0, 40, 3)]
    outlines = [Outline("all", "a", rings), Outline("again", "a", rings[::-1])]

    def pixels():
        return outline_labels(outlines, (10, 50), ClassNames(["a"]), "x.geojson").read(whole((10, 50)))

    expected = pixels()
    monkeypatch.setattr(polygons_module, "CROSSED_AT_ONCE", 13)
    np.testing.assert_array_equal(pixels(), expected)


def test_an_object_outside_its_image_is_refused_with_the_places_of_both():
    far = [(x + 20, y) for x, y in SQUARE]
    with pytest.raises(SourceError, match=r"object 5 lies at x 21 to 25, y 1 to 5, outside its image of 7 x 6"):
        read([outline(far, name="object 5")], (6, 7))


def test_three_axes_are_not_filled():
    with pytest.raises(ValueError, match="unpack"):
        outline_labels([outline(SQUARE)], (6, 6, 6), NAMES, "a.geojson")


def test_a_million_pixels_wide_area_takes_memory_by_its_outline():
    labels = outline_labels([outline([(0, 0), (10**6, 0), (10**6, 10**6)])], (10**6, 10**6), NAMES, "a.geojson")
    assert labels.read(Box((499_999, 499_998), (3, 4)))[..., 0].tolist() == [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_gdal_agrees_on_a_large_outline():
    ring = blob(np.random.default_rng(3), (500, 400), 350, corners=2000)
    area = shapely.make_valid(shapely.Polygon(ring), method="structure")
    wanted = rasterio.features.rasterize([area], out_shape=(800, 1000), dtype="uint8")
    np.testing.assert_array_equal(read([outline(ring)], (800, 1000)), wanted)
