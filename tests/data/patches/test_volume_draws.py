import numpy as np
import pytest

from data.patches.dataset import PatchDataset
from data.patches.decoded import KEPT, DecodedCases
from data.patches.grid import Box
from data.patches.scale import Scale
from data.patches.volume_draws import DRAWS, CaseOrder, Drawing, draw_from
from data.patches.volumes import cut_volume
from data.sources.labels import IGNORE
from tests.small_volumes import Volumes, ball, case_of, intensities

SHAPE, SIZE = (20, 24, 28), (4, 6, 8)


def classes():
    return np.maximum(ball(SHAPE, (8, 10, 12), 3), ball(SHAPE, (14, 16, 18), 2, 2))


def centres(starts, size=SIZE):
    return [tuple(a + n // 2 for a, n in zip(start, size, strict=True)) for start in starts]


@pytest.mark.parametrize("name", DRAWS)
def test_equal_seeds_draw_equal_patches_inside_the_volume(name):
    first, again, other = (DRAWS[name](classes(), SIZE, 12, 0.5, seed) for seed in (3, 3, 4))
    assert first == again != other
    assert len(first) == 12
    for start in first:
        assert all(0 <= a <= n - wide for a, n, wide in zip(start, SHAPE, SIZE, strict=True))


@pytest.mark.parametrize("name", ["posneg", "label"])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_patches_has_its_centre_on_a_class(name, share):
    mask = classes()
    found = [mask[place] > 0 for place in centres(DRAWS[name](mask, SIZE, 400, share, 0))]
    assert np.mean(found) == pytest.approx(share, abs=0.07 if 0 < share < 1 else 0)


def test_labels_are_centres_alike_however_large_their_objects_are():
    mask = classes()
    found = [mask[place] for place in centres(DRAWS["label"](mask, SIZE, 400, 1.0, 0))]
    assert np.mean(np.array(found) == 2) == pytest.approx(0.5, abs=0.07)
    assert (mask == 1).sum() > 3 * (mask == 2).sum()


def test_patches_by_their_content_hold_more_of_it_than_patches_drawn_anywhere():
    mask = classes()
    held = {
        name: np.mean([(mask[Box(start, SIZE).slices] > 0).sum() for start in DRAWS[name](mask, SIZE, 200, 1.0, 0)])
        for name in ("uniform", "weighted")
    }
    assert held["weighted"] > 5 * held["uniform"]


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("value", [0, 1, IGNORE])
def test_a_volume_of_one_value_is_drawn_from_too(name, value):
    mask = np.full(SHAPE, value, np.uint8)
    for share in (0.0, 0.5, 1.0):
        assert len(set(DRAWS[name](mask, SIZE, 8, share, 0))) > 3


@pytest.mark.parametrize("name", DRAWS)
def test_an_object_in_a_corner_hinders_nothing(name):
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, 0, 0] = 1
    assert len(DRAWS[name](mask, SIZE, 4, 1.0, 0)) == 4
    assert DRAWS[name](mask, SHAPE, 2, 1.0, 0) == [(0, 0, 0)] * 2


def reader_of(count=3, shape=SHAPE):
    pairs = {f"v{n}": (intensities(*shape, seed=n), np.roll(ball(shape, (4, 4, 4), 3), n, 1)) for n in range(count)}
    return DecodedCases(Volumes(pairs), Scale(1.0))


def dataset(name="posneg", each=4, count=99, size=SIZE, shape=SHAPE, seed=0):
    reader = reader_of(shape=shape)
    cases = [cut_volume(case_of(f"v{n}"), shape, [Box((0, 0, 0), size)], reader)[0] for n in range(3)]
    samples, order = draw_from(cases, each, count)
    drawing = Drawing(DRAWS[name], 0.5)
    return PatchDataset(samples, [0.5], [0.5], 2, seed=seed, sampling=order, read=drawing), order


def tensors(found, epoch):
    found.epoch = epoch
    return [found[place] for place in range(len(found.samples))]


@pytest.mark.parametrize("name", ["posneg", "weighted"])
def test_draws_depend_on_seed_epoch_and_place_alone(name):
    first = tensors(dataset(name)[0], 1)
    other_way, _ = dataset(name)
    other_way.epoch = 1
    backwards = [other_way[place] for place in reversed(range(12))][::-1]
    for (image, target), (same_image, same_target) in zip(first, backwards, strict=True):
        assert image.equal(same_image)
        assert target.equal(same_target)
    later, other_seed = tensors(dataset(name)[0], 2), tensors(dataset(name, seed=7)[0], 1)
    assert not all(a[0].equal(b[0]) for a, b in zip(first, later, strict=True))
    assert not all(a[0].equal(b[0]) for a, b in zip(first, other_seed, strict=True))


def test_patches_of_a_case_in_an_epoch_differ_and_image_and_mask_lie_together():
    found, _ = dataset()
    reader = found.samples[0].reader
    images = reader.reader.pairs
    seen = set()
    for place, sample in enumerate(found.samples):
        image, mask = found.read(sample, [0, 0, place])
        whole_image, whole_mask = images[sample.case_id]
        where = np.argwhere(whole_image[..., 0] == image[0, 0, 0, 0])
        assert len(where) == 1
        box = Box(tuple(where[0].tolist()), SIZE)
        np.testing.assert_array_equal(image, whole_image[box.slices])
        np.testing.assert_array_equal(mask, whole_mask[box.slices])
        seen.add((sample.case_id, box.start))
    assert len(seen) == len(found.samples) == 12


def test_a_patch_larger_than_the_volume_lies_about_its_middle_and_what_is_outside_is_ignored():
    found, _ = dataset(size=(4, 6, 12), shape=(20, 24, 9))
    image, mask = found.read(found.samples[0], [0, 0, 0])
    assert image.shape == (4, 6, 12, 1)
    assert (mask == IGNORE).any((0, 1)).tolist() == [True] + [False] * 9 + [True] * 2


def test_an_epoch_has_each_draw_once_and_the_cases_a_few_at_a_time():
    case_of_each = tuple(number for number in range(10) for _ in range(5))
    order = CaseOrder(case_of_each, 50)
    places = order.order(np.random.default_rng(0))
    assert sorted(places) == list(range(50))
    cases = [case_of_each[place] for place in places]
    for block in range(0, 50, 5 * KEPT):
        assert len(set(cases[block : block + 5 * KEPT])) <= KEPT
    assert cases[: 5 * KEPT] != sorted(cases[: 5 * KEPT])
    assert places != order.order(np.random.default_rng(1))


def test_an_epoch_is_as_long_as_it_is_asked_for():
    found, order = dataset(each=4, count=7)
    assert len(found) == order.count == 7
    assert len(order.order(np.random.default_rng(0))) == 7
