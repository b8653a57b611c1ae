"""What holds for any mask, any text, any grid and any scale; the examples are the same in every run."""

import json
import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data.cases import Case
from data.patches.grid import Box, Grid, scale_box, whole
from data.sources import ArraySource, ScaledSource, model_shape
from data.sources.class_names import ClassNames
from data.sources.labels import by_class, open_labels
from data.stitching.probability_map import Frame
from data.stitching.stitcher import SLOPES, Stitcher
from data.writers.geojson import geojson_file
from data.writers.objects_csv import describe_object
from tests.objects import find_in_strips
from tests.run_lengths import slow_mask, slow_text
from utils.rle import RleError, decode_rle, encode_rle, encode_strips

examples = settings(deadline=None, derandomize=True, database=None, max_examples=150)
CLASSES = ("glomerulus", "tubule", "vessel")
MASKS = npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 3))

# ---- run lengths

WORDS = st.one_of(
    st.integers(0, 40).map(str),
    st.integers(-3, 10**20).map(str),
    st.sampled_from(["", "nan", "1e1", "1.0", "1_0", "+1", "-", "\u0663", "\u00b2", "0x1", "\t", "\u2003", "9" * 18]),
    st.text(max_size=4),
)


@st.composite
def good_runs(draw):
    """Runs of an image of 6 x 7, in any order."""
    edges = sorted(draw(st.sets(st.integers(1, 43), max_size=12)))
    runs = [f"{a} {b - a}" for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return " ".join(draw(st.permutations(runs)))


TEXTS = st.one_of(good_runs(), st.lists(WORDS, max_size=8).map(" ".join), st.text(max_size=30))


@examples
@given(MASKS)
def test_a_mask_and_its_text_are_inverses(mask):
    text = encode_rle(mask)
    assert text == slow_text(mask)
    np.testing.assert_array_equal(decode_rle(text, mask.shape), mask > 0)


@settings(examples, max_examples=600)
@given(TEXTS)
def test_any_text_is_a_mask_or_an_error_that_names_what_is_wrong(text):
    wanted = slow_mask(text, (6, 7))
    if wanted is None:
        with pytest.raises(RleError) as caught:
            decode_rle(text, (6, 7))
        words = text.split()
        named = {repr(word[:40]) for word in words} | {str(int(word)) for word in words if word.isdecimal()}
        assert any(each in str(caught.value) for each in named | set(words) | {f"{len(words)} numbers"})
        return
    mask = decode_rle(text, (6, 7))
    np.testing.assert_array_equal(mask, wanted)
    assert decode_rle(encode_rle(mask), (6, 7)).tolist() == mask.tolist()
    assert encode_rle(mask) == slow_text(wanted)


@examples
@given(MASKS, st.data())
def test_a_mask_given_by_tiles_has_the_text_of_the_whole(mask, data):
    mask = mask > 1
    cuts = [sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=3))) if n > 1 else [] for n in mask.shape]
    strips = [np.split(strip, cuts[0]) for strip in np.split(mask, cuts[1], axis=1)]
    some = [[np.broadcast_to(t[0, 0], t.shape) if (t == t[0, 0]).all() else t for t in strip] for strip in strips]
    assert "".join(encode_strips(strips, len(mask))) == "".join(encode_strips(some, len(mask))) == encode_rle(mask)


# ---- grids and stitching


@st.composite
def grids(draw):
    """Grids of one to three axes, of images smaller and larger than a patch."""
    axes = draw(st.integers(1, 3))
    most = (60, 24, 11)[axes - 1]
    shape = tuple(draw(st.integers(1, most)) for _ in range(axes))
    patch = tuple(draw(st.integers(1, most)) for _ in range(axes))
    overlap = tuple(draw(st.integers(max(0, n - 4), n - 1) | st.integers(0, n // 2)) for n in patch)
    return Grid(shape, patch, tuple(min(o, n - 1) for o, n in zip(overlap, patch, strict=True)), draw(st.booleans()))


def stitched(grid, image, slope):
    """The patches of an image of bytes (K, *shape), cut and put together; with the order of the rows that come."""
    result, rows = np.full(image.shape, 77, np.uint8), []

    def write(row, block):
        rows.append((row, row + block.shape[1]))
        result[:, row : row + block.shape[1]] = block

    stitcher = Stitcher(grid.shape, len(image), grid.patch[0], grid.overlap_px, write, slope)
    for box in grid:
        inside = box.within(grid.shape)
        patch = np.full((len(image), *box.size), 0.7, np.float32)  # what reaches past the image counts for nothing
        patch[(slice(None), *inside.seen_from(box.start).slices)] = image[(slice(None), *inside.slices)] / np.float32(
            255
        )
        stitcher.add(box, patch)
    stitcher.finish()
    return result, rows


@settings(examples, max_examples=400)
@given(grids())
def test_patches_cover_every_cell_lie_inside_and_end_at_the_edge(grid):
    hits, boxes = np.zeros(grid.shape, int), list(grid)
    for box in boxes:
        hits[box.within(grid.shape).slices] += 1
        for start, stop, side, patch in zip(box.start, box.stop, grid.shape, grid.patch, strict=True):
            assert (start >= 0 and stop <= side) if side >= patch else (start <= 0 and stop >= side)
    assert hits.min() >= 1
    assert len(boxes) == len(grid) == len(set(boxes))
    assert all(a.start < b.start for a, b in pairwise(boxes))
    for axis, (side, patch, overlap) in enumerate(zip(grid.shape, grid.patch, grid.overlap_px, strict=True)):
        starts = grid.starts(axis)
        assert side < patch or (starts[0], starts[-1]) == (0, side - patch)
        assert all(0 < b - a <= patch - overlap for a, b in pairwise(starts))
    shifted = list(grid.between())
    assert all(a.start[0] <= b.start[0] for a, b in pairwise(shifted))


@examples
@given(grids(), st.integers(0, 255), st.sampled_from([*SLOPES.values()]))
def test_stitching_a_constant_gives_the_constant_row_by_row(grid, value, slope):
    result, rows = stitched(grid, np.full((2, *grid.shape), value, np.uint8), slope)
    assert (result == value).all()
    assert [first for first, _ in rows] == [0, *(stop for _, stop in rows[:-1])]
    assert rows[-1][1] == grid.shape[0]


@examples
@given(grids(), st.integers(0, 2**32 - 1), st.sampled_from([*SLOPES.values()]))
def test_stitching_the_patches_of_an_image_gives_it_back(grid, seed, slope):
    image = np.random.default_rng(seed).integers(0, 256, (2, *grid.shape), np.uint8)
    np.testing.assert_array_equal(stitched(grid, image, slope)[0], image)


# ---- from level 0 to the network's scale and back


@st.composite
def scaled(draw):
    """A shape at level 0 and at the scale of the network, of one reduction for all axes, and a box at the latter."""
    shape = tuple(draw(st.integers(1, 200)) for _ in range(draw(st.integers(1, 3))))
    reduction = draw(st.integers(1, 9).map(float) | st.floats(1, 9))
    small = model_shape(ArraySource(np.broadcast_to(np.uint8(0), (*shape, 1))), reduction)
    start = tuple(draw(st.integers(0, n - 1)) for n in small)
    return shape, small, Box(start, tuple(draw(st.integers(1, n - a)) for a, n in zip(start, small, strict=True)))


@settings(examples, max_examples=600)
@given(scaled())
def test_a_place_goes_to_level_0_and_back_and_grows_by_a_pixel_at_most(given_scale):
    shape, small, box = given_scale
    at_level0 = scale_box(box, small, shape)
    assert at_level0.within(shape) == at_level0
    again = scale_box(at_level0, shape, small)
    for start, stop, first, last, large, n in zip(
        box.start, box.stop, again.start, again.stop, shape, small, strict=True
    ):
        assert start - 1 <= first <= start < stop <= last <= stop + 1
        if large % n == 0:
            assert (first, last) == (start, stop)
    assert scale_box(whole(small), small, shape) == whole(shape)
    assert scale_box(whole(shape), shape, small) == whole(small)


@settings(examples, max_examples=300)
@given(scaled())
def test_a_pixel_shows_the_place_at_level_0_that_it_stands_for(given_scale):
    """Images whose values are their own places: one that is moved by a pixel would show it."""
    shape, small, box = given_scale
    places = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1).astype(np.float32)
    seen = ScaledSource(ArraySource(places), small).read(box)
    for axis, (a, n, large, have) in enumerate(zip(box.start, box.size, shape, small, strict=True)):
        wanted = (np.arange(a, a + n) + 0.5) * large / have
        moved = np.moveaxis(seen[..., axis], axis, -1) - wanted
        assert np.abs(moved).max() <= (0.01 if large % have == 0 else 0.26)


@settings(examples, max_examples=100)
@given(scaled(), st.integers(0, 2**32 - 1))
def test_parts_at_the_networks_scale_are_parts_of_the_whole(given_scale, seed):
    shape, small, box = given_scale
    if math.prod(shape) > 10**5:
        shape, small, box = shape[:1], small[:1], Box(box.start[:1], box.size[:1])
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 1), np.uint8)
    source = ScaledSource(ArraySource(image), small)
    np.testing.assert_array_equal(source.read(box), source.read(whole(small))[box.slices])


# ---- outlines


@st.composite
def knotty_masks(draw):
    """Masks of several classes with holes, islands in them, and pixels that meet at corners alone."""
    mask = draw(MASKS).copy()
    for top, left, side, value in draw(st.lists(st.tuples(*[st.integers(0, 9)] * 3, st.integers(0, 3)), max_size=4)):
        block = mask[top : top + side, left : left + side]
        block[:] = value
        block[1:-1, 1:-1] = 0
        block[2:-2, 2:-2] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        rows, columns = np.indices(mask.shape)
        mask[(rows + columns) % 2 == 0] = 0
    return mask


@settings(examples, max_examples=200)
@given(knotty_masks(), st.integers(1, 5))
def test_from_a_mask_to_geojson_and_back_is_the_identity(tmp_path_factory, mask, rows):
    path = tmp_path_factory.mktemp("g") / "a.geojson"
    frame = Frame((0, 0), mask.shape, mask.shape, CLASSES, None)
    with geojson_file(path) as add:
        for found in find_in_strips(mask, rows, lambda runs: 255 * (runs.stops - runs.starts)):
            add(found, describe_object(found, "case", frame))
    case = Case("a", path.with_name("a.tiff"), path)
    with open_labels(case, mask.shape, ClassNames(CLASSES), lambda values: by_class(values, 3)) as labels:
        np.testing.assert_array_equal(labels.read(whole(mask.shape))[..., 0], mask)


@settings(examples, max_examples=60)
@given(knotty_masks())
def test_run_lengths_and_outlines_of_one_mask_are_the_same_labels(tmp_path_factory, mask):
    path = tmp_path_factory.mktemp("g") / "a.geojson"
    squares = [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]] for y, x in product(*map(range, mask.shape))]
    features = [
        {"geometry": {"type": "Polygon", "coordinates": [square]}, "properties": {"classification": CLASSES[value - 1]}}
        for square, value in zip(squares, mask.ravel().tolist(), strict=True)
        if value
    ]
    path.write_text(json.dumps(features))
    texts = {name: encode_rle(mask == index) for index, name in enumerate(CLASSES, start=1)}
    masks = []
    for labels in (path, texts):
        case = Case("a", path.with_name("a.tiff"), labels)
        with open_labels(case, mask.shape, ClassNames(CLASSES), lambda values: by_class(values, 3)) as opened:
            masks.append(opened.read(whole(mask.shape))[..., 0])
    np.testing.assert_array_equal(masks[0], mask)
    np.testing.assert_array_equal(masks[1], mask)
