import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import zarr

import data.stitching.chunks as chunks
import data.stitching.probability_map as probability_map
from data.patches.grid import Box, blocks, whole
from data.stitching.probability_map import Frame, create_map, open_map


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 8 x 8 or 4 x 4 x 4 cells and a cache that holds two rows of them."""
    monkeypatch.setattr(chunks, "CHUNK_CELLS", 64)
    monkeypatch.setattr(chunks, "CACHE_BYTES", 1)


def frame(shape, channels):
    return Frame((0,) * len(shape), shape, shape, tuple(f"class{k}" for k in range(channels)))


def random_values(shape, channels=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (channels, *shape), np.uint8)


def write(path, values, steps):
    made = create_map(path, values.shape[1:], frame(values.shape[1:], len(values)))
    row = 0
    while row < values.shape[1]:
        count = steps[row % len(steps)]
        made.write(row, values[:, row : row + count])
        row += count
    made.flush()
    return made


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("shape", [(37, 20), (8, 8), (5, 30), (9, 7, 6)])
@pytest.mark.parametrize("steps", [[1], [3, 5, 2], [8], [100]])
def test_rows_written_in_any_bands_are_the_map(tmp_path, shape, steps):
    values = random_values(shape)
    made = write(tmp_path / "a.zarr", values, steps)
    for found in (made, open_map(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(found.read(whole(shape)), np.moveaxis(values, 0, -1))
    other_reader = zarr.open_array(str(tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(other_reader[:], values)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("shape", [(37, 20), (9, 7, 6)])
def test_any_region_is_that_of_the_whole(tmp_path, shape):
    values = np.moveaxis(random_values(shape), 0, -1)
    made = write(tmp_path / "a.zarr", np.moveaxis(values, -1, 0), [5])
    for size in (1, 3, 11):
        for box in blocks(shape, (size,) * len(shape)):
            np.testing.assert_array_equal(made.read(box), values[box.slices])


@pytest.mark.usefixtures("small_chunks")
def test_skipped_rows_and_those_after_the_last_are_zero(tmp_path):
    made = create_map(tmp_path / "a.zarr", (50, 9), frame((50, 9), 1))
    made.write(3, np.full((1, 2, 9), 7, np.uint8))
    made.write(30, np.full((1, 1, 9), 8, np.uint8))
    made.flush()
    made.flush()
    wanted = np.zeros((50, 9))
    wanted[3:5], wanted[30] = 7, 8
    np.testing.assert_array_equal(open_map(tmp_path / "a.zarr").read(whole((50, 9)))[..., 0], wanted)
    assert len([path for path in (tmp_path / "a.zarr" / "c").rglob("*") if path.is_file()]) == 4  # two rows of two


@pytest.mark.usefixtures("small_chunks")
def test_rows_written_again_replace_themselves_alone(tmp_path):
    values = random_values((20, 10), 1)
    made = write(tmp_path / "a.zarr", values, [20])
    for row in (13, 2, 3):
        values[:, row] = row
        made.write(row, values[:, row : row + 1])
        np.testing.assert_array_equal(made.read(whole((20, 10))), np.moveaxis(values, 0, -1))


@pytest.mark.usefixtures("small_chunks")
def test_a_row_of_chunks_is_stored_once(tmp_path, monkeypatch):
    stored = []
    plain = zarr.Array.__setitem__
    monkeypatch.setattr(zarr.Array, "__setitem__", lambda self, *args: (stored.append(args[0]), plain(self, *args)))
    write(tmp_path / "a.zarr", random_values((37, 20)), [3])
    assert [place[1].start for place in stored] == [0, 8, 16, 24, 32]


@pytest.mark.usefixtures("small_chunks")
def test_reading_along_the_rows_decodes_each_chunk_once(tmp_path, monkeypatch):
    values = random_values((64, 64))
    values[:, :32] = 0
    write(tmp_path / "a.zarr", values, [64])
    found = open_map(tmp_path / "a.zarr")
    decoded = []
    plain = chunks.imagecodecs.zstd_decode
    monkeypatch.setattr(chunks.imagecodecs, "zstd_decode", lambda encoded: decoded.append(1) or plain(encoded))
    for box in blocks((64, 64), (5, 5)):
        found.read(box)
    assert len(decoded) == 4 * 8  # those of zeros have no file


@pytest.mark.usefixtures("small_chunks")
def test_many_threads_read_what_one_reads(tmp_path):
    shape = (60, 70)
    values = random_values(shape)
    found = write(tmp_path / "a.zarr", values, [60])
    boxes = list(blocks(shape, (7, 9))) * 3
    with ThreadPoolExecutor(8) as pool:
        for box, block in zip(boxes, pool.map(found.read, boxes), strict=True):
            np.testing.assert_array_equal(block, np.moveaxis(values, 0, -1)[box.slices])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_chunks_hold_as_many_cells_in_any_number_of_axes(axes):
    assert chunks.chunk_side(axes) ** axes == chunks.CHUNK_CELLS


def peak_of_writing_and_reading(path, rows):
    shape = (rows, 1000)
    made = create_map(path, shape, frame(shape, 1))
    tracemalloc.start()
    for row in range(0, rows, 100):
        made.write(row, np.full((1, 100, 1000), row % 251, np.uint8))
    made.flush()
    for box in blocks(shape, (130, 130)):
        made.read(box)
    made.on_image((20, 10)).read(whole((20, 10)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_follow_the_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CACHE_BYTES", 2**18)
    monkeypatch.setattr(chunks, "CHUNK_CELLS", 2**14)
    monkeypatch.setattr(probability_map, "CELLS_AT_ONCE", 2**14)
    low, high = (peak_of_writing_and_reading(tmp_path / f"{rows}.zarr", rows) for rows in (500, 3000))
    assert high < 1.5 * low  # six times as many rows
    assert high < 3000 * 1000 / 2


def test_a_map_of_glass_takes_no_room(tmp_path):
    made = create_map(tmp_path / "a.zarr", (10**5, 10**5), frame((10**5, 10**5), 1))
    assert not made.read(Box((50_000, 50_000), (700, 700))).any()
    assert [path.name for path in (tmp_path / "a.zarr").iterdir()] == ["zarr.json"]


@pytest.mark.parametrize("options", [{"dtype": "float32"}, {"dtype": "uint8", "compressors": None}])
def test_an_array_of_another_kind_is_no_map(tmp_path, options):
    attributes = {"frame": asdict(frame((9, 9), 1))}
    zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(1, 9, 9), attributes=attributes, **options)
    with pytest.raises(ValueError, match=r"a\.zarr is no probability map: its chunks are"):
        open_map(tmp_path / "a.zarr")
