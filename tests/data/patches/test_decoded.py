import pickle

import numpy as np
import pytest

from data.patches.decoded import KEPT, Cache, DecodedCases
from data.patches.grid import Box, whole
from data.patches.scale import Scale
from data.sources.source import SourceError
from tests.small_volumes import Volumes, ball, case_of, intensities

NAMES = [f"v{number}" for number in range(KEPT + 2)]
SHAPE = (6, 8, 10)
EACH = 6 * 8 * 10 * 5  # bytes of a float32 image and a mask


def volumes():
    return Volumes({name: (intensities(*SHAPE, seed=n), ball(SHAPE, (3, 4, 5), n)) for n, name in enumerate(NAMES)})


def read(reader, name):
    with reader.open_both(case_of(name)) as (source, labels):
        return source.read(whole(source.shape)), labels.read(whole(labels.shape))[..., 0]


def assert_same(pair, other):
    for values, expected in zip(pair, other, strict=True):
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)


def test_a_case_is_opened_once_while_it_is_among_the_last():
    own = volumes()
    reader = DecodedCases(own, Scale(1.0))
    for name in [*NAMES[:KEPT], *NAMES[:KEPT]]:
        assert_same(read(reader, name), own.pairs[name])
    assert own.opened == NAMES[:KEPT]
    read(reader, NAMES[KEPT])
    read(reader, NAMES[0])
    assert own.opened == [*NAMES[: KEPT + 1], NAMES[0]]


@pytest.mark.parametrize("on_disk", [False, True])
def test_cached_cases_are_opened_once_and_give_the_same_pixels(tmp_path, on_disk):
    own = volumes()
    reader = DecodedCases(own, Scale(1.0), Cache(10**6, tmp_path / "room" if on_disk else None))
    for name in NAMES:
        reader.keep(case_of(name))
    assert reader.cached == len(NAMES)
    for name in [*NAMES, *NAMES]:
        assert_same(read(reader, name), own.pairs[name])
    assert own.opened == NAMES


def test_what_finds_no_room_is_decoded_again():
    own = volumes()
    reader = DecodedCases(own, Scale(1.0), Cache(2 * EACH + 1))
    for name in NAMES:
        reader.keep(case_of(name))
    assert reader.cached == 2
    assert_same(read(reader, NAMES[-1]), own.pairs[NAMES[-1]])
    assert_same(read(reader, NAMES[2]), own.pairs[NAMES[2]])


def test_a_worker_that_is_spawned_takes_the_settings_and_decodes_for_itself():
    reader = DecodedCases(volumes(), Scale(1.0))
    first = read(reader, "v1")
    assert_same(read(pickle.loads(pickle.dumps(reader)), "v1"), first)


def test_images_and_labels_come_at_the_scale_of_the_network_with_its_pixel_size():
    image = np.repeat(np.repeat(noise_bytes((3, 4, 5)), 2, 0), 2, 1).repeat(2, 2)
    classes = np.zeros((6, 8, 10), np.uint8)
    classes[:2, :2, :2] = 2
    reader = DecodedCases(Volumes({"a": (image, classes)}, (1.0, 2.0, 3.0)), Scale(2.0))
    with reader.open_both(case_of("a")) as (source, labels):
        np.testing.assert_array_equal(source.read(whole((3, 4, 5))), image[::2, ::2, ::2])
        assert labels.read(Box((0, 0, 0), (1, 1, 2))).ravel().tolist() == [2, 0]
        assert source.spacing_um == (2.0, 4.0, 6.0)


def noise_bytes(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 1), np.uint8)


def test_a_damaged_case_raises_what_its_reader_raises():
    reader = DecodedCases(Volumes({"a": None}), Scale(1.0))
    with pytest.raises(SourceError, match="damaged"):
        read(reader, "a")
