from collections import Counter

import numpy as np
import pytest

from data.patches.loader import PatchLoader
from data.patches.sampling import (
    SAMPLINGS,
    Content,
    Mixture,
    Sampling,
    build_contents,
    build_mixture,
    build_sampling,
    by_area,
    by_foreground,
    by_object_size,
    draw_evenly,
    measure,
)
from data.patches.shares import SharedLoader
from data.sources.labels import IGNORE
from tests.data.patches.test_loader import Numbers, places
from tests.slides import make_cfg

CONTENTS = [Content()] * 6 + [Content(40, (40,)), Content(1000, (1000,)), Content(1100, (1100,)), Content(7)]


def chance(seed=0):
    return np.random.default_rng(seed)


def mask_of(*boxes, shape=(32, 32)):
    """Class indices: 0, and a value in each box given as (value, row, column, rows, columns)."""
    mask = np.zeros(shape, np.uint8)
    for value, row, column, rows, columns in boxes:
        mask[row : row + rows, column : column + columns] = value
    return mask


def test_objects_of_a_patch_are_counted_by_class_and_what_is_ignored_is_none():
    mask = mask_of((1, 4, 4, 3, 5), (2, 7, 4, 2, 5), (1, 20, 20, 4, 4), (IGNORE, 12, 0, 4, 20))
    assert measure(mask) == Content(15 + 10 + 16, (15, 16, 10))
    assert measure(np.zeros((8, 8), np.uint8)) == Content()


def test_tips_of_objects_that_the_border_cuts_are_no_objects_but_large_parts_are():
    tip, part, inside = (1, 0, 3, 2, 3), (1, 10, 24, 10, 8), (1, 25, 5, 3, 3)
    assert measure(mask_of(tip, part, inside)) == Content(6 + 80 + 9, (80, 9))  # a sixteenth are 64 pixels


def test_objects_are_measured_in_any_number_of_axes():
    mask = np.zeros((6, 8, 8), np.uint8)
    mask[2:4, 2:5, 2:5] = 1
    assert measure(mask) == Content(18, (18,))


def test_weights_by_hand():
    assert by_foreground(CONTENTS).tolist() == [0] * 6 + [1] * 4
    assert by_area(CONTENTS).tolist() == [0] * 6 + [40, 1000, 1100, 7]
    contents = [Content(73, (40, 33)), Content(1000, (1000,)), Content(50, (50,)), Content()]
    assert by_object_size(contents) == pytest.approx([2 / 3**0.5, 1, 1 / 3**0.5, 0])  # 33, 40 and 50 lie in [32, 64)


@pytest.mark.parametrize("count", [1, 7, 10, 23, 1000])
def test_draws_follow_the_weights_to_the_next_whole_number(count):
    weights = np.array([0.0, 1, 2, 0, 4, 0.5, 0])
    for seed in range(20):
        drawn = np.bincount(draw_evenly(weights, count, chance(seed)), minlength=7)
        expected = count * weights / weights.sum()
        assert drawn.sum() == count
        assert (drawn >= np.floor(expected)).all()
        assert (drawn <= np.ceil(expected)).all()


def test_the_mean_of_many_draws_is_what_the_weights_ask():
    weights = np.array([1.0, 2, 3, 0.3])
    drawn = sum(np.bincount(draw_evenly(weights, 3, chance(seed)), minlength=4) for seed in range(2000)) / 2000
    np.testing.assert_allclose(drawn, 3 * weights / weights.sum(), atol=0.05)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("batch", [3, 8])
def test_every_batch_has_its_share(share, batch):
    sampling = Sampling(by_foreground(CONTENTS), 1 - by_foreground(CONTENTS), share, 240)
    order = np.array(sampling.order(chance())) % 10
    counts = (order.reshape(-1, batch) >= 6).sum(1)
    assert counts.min() >= np.floor(share * batch)
    assert counts.max() <= np.ceil(share * batch)
    assert (order >= 6).sum() == round(240 * share)


def test_no_two_draws_of_an_epoch_are_the_same_so_that_each_is_augmented_otherwise():
    order = Sampling(by_foreground(CONTENTS), np.ones(10), 0.7, 95).order(chance())
    assert len(set(order)) == len(order) == 95
    times = Counter(place % 10 for place in order)
    assert set(order) == {place + 10 * number for place, count in times.items() for number in range(count)}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_an_epoch_keeps_its_length_unless_another_is_asked_for(name):
    for count, expected in ((0, 10), (25, 25)):
        sampling = build_sampling(make_cfg(SOLVER_SAMPLING=name, SOLVER_EPOCH_PATCHES=count), CONTENTS)
        assert (sampling.count if sampling else len(CONTENTS)) == expected
        assert (sampling is None) == (name == "all" and not count)


def test_all_alike_draws_each_patch_equally_often():
    order = build_sampling(make_cfg(SOLVER_EPOCH_PATCHES=25), CONTENTS).order(chance())
    assert set(np.bincount(np.array(order) % 10).tolist()) == {2, 3}


def test_the_share_of_foreground_is_exact_and_that_of_sizes_comes_on_top():
    def share(name):
        cfg = make_cfg(SOLVER_SAMPLING=name, SOLVER_EPOCH_PATCHES=600, SOLVER_SAMPLING_SHARE=0.5)
        return np.bincount(np.array(build_sampling(cfg, CONTENTS).order(chance())) % 10, minlength=10) / 600

    np.testing.assert_allclose(share("foreground"), [0.5 / 6] * 6 + [0.5 / 4] * 4, atol=0.005)
    by_size = 0.05 + 0.5 * np.array(
        [0] * 6 + [1 / 3, 1 / 3, 1 / 3, 0]
    )  # 40 in [32, 64), 1000 below and 1100 above 1024
    np.testing.assert_allclose(share("object_size"), by_size, atol=0.005)
    np.testing.assert_allclose(share("area")[6:], 0.05 + 0.5 * np.array([40, 1000, 1100, 7]) / 2147, atol=0.005)


def test_without_foreground_all_are_drawn_and_the_log_says_so(caplog):
    sampling = build_sampling(make_cfg(SOLVER_SAMPLING="foreground"), [Content()] * 4)
    assert sorted(place % 4 for place in sampling.order(chance())) == [0, 1, 2, 3]
    assert "nothing to favour" in caplog.text


def test_without_background_foreground_fills_the_batches():
    sampling = build_sampling(make_cfg(SOLVER_SAMPLING="foreground"), [Content(5)] * 4)
    assert len(sampling.order(chance())) == 4


class MaskSample:
    def __init__(self, name, mask):
        self.name, self.mask = name, mask

    def read_mask(self):
        return self.mask


def test_masks_are_read_only_where_the_sampling_asks_for_them():
    samples = [MaskSample(str(number), mask_of((1, 5, 5, number, 3))) for number in range(1, 6)]
    assert build_contents(make_cfg(), samples) == {}
    found = build_contents(make_cfg(SOLVER_SAMPLING="area"), samples)
    assert found == {str(number): Content(3 * number, (3 * number,)) for number in range(1, 6)}


class Sampled(Numbers):
    """Places drawn with a sampling."""

    sampling = Sampling(by_foreground(CONTENTS), np.ones(10), 0.5, 24)

    def __len__(self):
        return self.sampling.count


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_depends_on_seed_and_epoch_alone_and_can_begin_in_the_middle(workers):
    loader = PatchLoader(Sampled(), bs=4, shuffle=True, drop_last=True, num_workers=workers)
    whole = places(PatchLoader(Sampled(), bs=4, shuffle=True, drop_last=True))
    assert len(loader) == len(whole) == 6
    loader.first_batch = 4
    assert places(loader) == whole[4:]
    loader.first_batch, loader.dataset.epoch = 0, 1
    assert places(loader) != whole
    loader.dataset.epoch = 0
    assert places(loader) == whole
    assert loader.names_of(1) == [f"p{place % 10}" for place in whole[1]]


def test_processes_share_the_batches_of_one():
    whole = places(PatchLoader(Sampled(), bs=4, shuffle=True, drop_last=True))
    parts = [places(SharedLoader(Sampled(), 4, rank, 2, True, 0)) for rank in range(2)]
    assert [[*one, *other] for one, other in zip(*parts, strict=True)] == whole


def test_pseudo_patches_take_their_share_of_an_epoch_of_the_same_length():
    cfg = make_cfg(SOLVER_PSEUDO_SHARE=0.25, SOLVER_SAMPLING="foreground", SOLVER_EPOCH_PATCHES=40)
    mixture = build_mixture(cfg, CONTENTS, [Content(), Content(9, (9,))])
    assert isinstance(mixture, Mixture)
    order = mixture.order(chance())
    assert len(order) == len(set(order)) == mixture.count == 40
    places = np.array(order) % 12
    assert ((places >= 10).reshape(10, 4).sum(1) == 1).all()
    counts = Counter(places.tolist())
    assert counts[10] == counts[11] == 5  # half of them have foreground, as of the labelled ones
    assert sum(counts[place] for place in range(6)) == sum(counts[place] for place in range(6, 10)) == 15
    assert mixture.order(chance()) == order != mixture.order(chance(1))
    assert len(mixture.favoured) == 12


@pytest.mark.parametrize("share", [0, 1])
def test_all_or_nothing_may_be_pseudo(share):
    mixture = build_mixture(make_cfg(SOLVER_PSEUDO_SHARE=share), CONTENTS, [Content()] * 3)
    order = np.array(mixture.order(chance()))
    assert len(order) == len(CONTENTS)
    assert ((order % 13 >= 10) == bool(share)).all()


def test_without_pseudo_patches_an_epoch_is_as_it_was():
    assert build_mixture(make_cfg(), CONTENTS, []) is None
