import itertools
import math

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from utils.surface import BITS, Surface, SurfaceOverlap, element_areas, join_surfaces, surface_overlap

SPACING = (3.0, 1.0, 0.5)


def blob(seed, shape=(14, 18, 16)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return noise > np.quantile(noise, 0.8)


def surface_of(mask):
    return Surface.of(np.pad(mask, 1))


def overlap(one, two, tolerance, spacing=SPACING):
    return surface_overlap(surface_of(one), surface_of(two), spacing, tolerance)


def box(place, size, shape=(20, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(place, size, strict=True))] = True
    return mask


def code_of(*corners):
    return sum(BITS[corner] for corner in corners)


def test_areas_of_simple_cubes_are_those_by_hand():
    areas = element_areas((1.0, 1.0, 1.0))
    assert areas[0] == areas[255] == 0
    assert areas[code_of((0, 0, 0))] == pytest.approx(math.sqrt(3) / 8)  # a triangle of sides 1 / sqrt 2
    assert areas[code_of((0, 0, 0), (0, 0, 1))] == pytest.approx(math.sqrt(0.5))  # a strip along an edge
    assert areas[code_of((0, 0, 0), (0, 1, 1))] == pytest.approx(math.sqrt(3) / 4)  # two corners cut off one by one
    assert areas[code_of(*itertools.product((0,), (0, 1), (0, 1)))] == pytest.approx(1)  # a plane
    assert element_areas(SPACING)[code_of(*itertools.product((0,), (0, 1), (0, 1)))] == pytest.approx(1 * 0.5)
    assert element_areas(SPACING)[code_of((1, 1, 1))] == pytest.approx(
        math.sqrt((3 * 1) ** 2 + (3 * 0.5) ** 2 + (1 * 0.5) ** 2) / 8
    )


def test_a_mask_and_its_complement_have_the_same_surface():
    areas = element_areas(SPACING)
    np.testing.assert_allclose(areas, areas[::-1])


def test_the_area_of_a_box_is_that_by_hand():
    (a, b, c), (p, q, r) = (5, 4, 7), SPACING
    found = element_areas(SPACING)[surface_of(box((3, 3, 3), (5, 4, 7))).codes].sum()
    faces = 2 * ((b - 1) * (c - 1) * q * r + (a - 1) * (c - 1) * p * r + (a - 1) * (b - 1) * p * q)
    edges = 2 * ((a - 1) * p * math.hypot(q, r) + (b - 1) * q * math.hypot(p, r) + (c - 1) * r * math.hypot(p, q))
    corners = 8 * math.sqrt((q * r) ** 2 + (p * r) ** 2 + (p * q) ** 2) / 8
    assert found == pytest.approx(faces + edges + corners)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_about_that_of_another_marching_cubes(seed):
    mask = np.pad(blob(seed), 1)
    corners, triangles, *_ = measure.marching_cubes(mask.astype(np.float32), 0.5, spacing=SPACING, method="lorensen")
    found = element_areas(SPACING)[Surface.of(mask).codes].sum()
    assert found == pytest.approx(measure.mesh_surface_area(corners, triangles), rel=0.02)


def reference(one, two, spacing, tolerance):
    """Surface Dice by the definition: every element with every other."""
    found = []
    for mask in (one, two):
        padded, elements = np.pad(mask, 1), []
        for place in np.ndindex(*(n - 1 for n in padded.shape)):
            code = sum(bit for corner, bit in BITS.items() if padded[tuple(np.add(place, corner))])
            if code not in (0, 255):
                elements.append((np.multiply(place, spacing), element_areas(spacing)[code]))
        found.append(elements)
    within = sum(
        area
        for mine, theirs in (found, found[::-1])
        for place, area in mine
        if min(np.linalg.norm(place - other) for other, _ in theirs) <= tolerance
    )
    return within / sum(area for elements in found for _, area in elements)


@pytest.mark.parametrize("tolerance", [0, 0.5, 1.2, 3.0])
def test_surface_dice_is_that_of_the_plain_definition(tolerance):
    one, two = blob(0, (6, 7, 8)), blob(1, (6, 7, 8))
    assert overlap(one, two, tolerance).dice == pytest.approx(reference(one, two, SPACING, tolerance), abs=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI 1.6 of itself
def test_areas_and_surface_dice_are_those_of_monai():
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    from monai.metrics import compute_surface_dice
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    np.testing.assert_allclose(
        element_areas(SPACING), create_table_neighbour_code_to_surface_area(SPACING)[0], rtol=1e-5
    )
    for seed, tolerance in itertools.product((0, 2), (0.5, 1.0, 3.0)):
        one, two = blob(seed), blob(seed + 1)
        tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (one, two)]
        (((theirs,),)) = compute_surface_dice(
            *tensors, [tolerance], include_background=True, spacing=SPACING, use_subvoxels=True
        )
        assert overlap(one, two, tolerance).dice == pytest.approx(float(theirs), abs=1e-4)


def test_a_shift_is_forgiven_up_to_the_tolerance():
    one, two = box((3, 3, 3), (8, 8, 8)), box((4, 3, 3), (8, 8, 8))  # shifted by one voxel of 3
    assert overlap(one, one, 0).dice == 1
    assert overlap(one, two, 3.0).dice == 1
    assert 0 < overlap(one, two, 2.9).dice < 1


def test_empty_masks_are_defined():
    nothing, something = box((0, 0, 0), (0, 0, 0)), box((3, 3, 3), (4, 4, 4))
    assert overlap(nothing, nothing, 1).dice == 1
    assert overlap(nothing, something, 1).dice == overlap(something, nothing, 1).dice == 0


def test_overlaps_of_cases_add_up():
    assert (SurfaceOverlap(1, 4) + SurfaceOverlap(2, 2)).dice == 0.5


def test_pieces_make_up_the_whole_surface():
    mask = np.pad(blob(4), 1)
    whole = Surface.of(mask)
    parts = [Surface.of(mask[:6]), Surface.of(mask[5:]).shifted((5, 0, 0))]
    joined = join_surfaces(parts)
    np.testing.assert_array_equal(joined.places, whole.places)
    np.testing.assert_array_equal(joined.codes, whole.codes)
    assert len(join_surfaces([]).codes) == 0
