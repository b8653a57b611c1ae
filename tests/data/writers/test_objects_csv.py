import csv
import uuid

import numpy as np
import pandas as pd
import pytest

from data.stitching.probability_map import Frame
from data.writers.objects_csv import OBJECT_COLUMNS, describe_object, join_objects, object_table
from tests.objects import find_in_strips

MASK = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 2, 0], [0, 0, 0, 0, 0]], np.uint8)


def weigh(runs):
    return (runs.stops - runs.starts) * 204


def describe(mask=MASK, case_id="a", spacing_um=(0.5, 0.25), **frame):
    place = {"start_level0": (0, 0), "size_level0": mask.shape, "shape_level0": mask.shape} | frame
    known = Frame(classes=("x", "y, z"), spacing_um=spacing_um, **place)
    return [describe_object(found, case_id, known) for found in find_in_strips(mask, 2, weigh)]


def test_a_line_by_hand():
    one, other = describe()
    assert (one.class_name, one.row, one.column, one.area_px) == ("x", 1.0, 1.0, 4)
    assert (one.area_um2, one.diameter_um) == (0.5, 0.8)  # 4 pixels of 0.5 by 0.25 um; 2 sqrt(0.5 / pi)
    assert (one.probability, one.touches_border) == (0.8, True)
    assert (one.top, one.left, one.bottom, one.right) == (0, 0, 2, 2)
    assert (other.class_name, other.row, other.column, other.touches_border) == ("y, z", 1.5, 3.5, False)


def test_without_a_pixel_size_there_are_no_micrometres():
    assert [(row.area_um2, row.diameter_um) for row in describe(spacing_um=None)] == [(None, None)] * 2


def test_an_object_at_the_border_of_a_crop_touches_it():
    _, row = describe(start_level0=(1, 0), size_level0=(2, 5))
    assert row.touches_border


def test_ids_are_uuids_that_stay_the_same_and_differ_between_objects_classes_and_cases():
    ids = [row.object for row in describe()]
    assert ids == [row.object for row in describe()]
    assert ids[0] == "1d5fa985-8715-54d3-a1f5-e9f09b26c65a"
    others = [row.object for row in describe(case_id="b")] + [
        row.object for row in describe(np.where(MASK, 3 - MASK, 0))
    ]
    assert len({*ids, *others}) == len(ids) + len(others)
    assert [uuid.UUID(each).version for each in ids] == [5, 5]


def test_tables_are_joined_under_one_header(tmp_path):
    for case_id in ("001", "with,comma"):
        with object_table(tmp_path / f"{case_id}.csv") as add:
            for row in describe(case_id=case_id, spacing_um=None):
                add(row)
    with object_table(tmp_path / "none.csv"):
        pass
    join_objects(tmp_path / "all.csv", [tmp_path / f"{name}.csv" for name in ("001", "none", "with,comma")])
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == OBJECT_COLUMNS
    assert [(row["id"], row["class"]) for row in rows] == [
        ("001", "x"),
        ("001", "y, z"),
        ("with,comma", "x"),
        ("with,comma", "y, z"),
    ]
    assert pd.read_csv(tmp_path / "all.csv")["touches_border"].tolist() == [True, False] * 2


def test_a_table_that_is_not_finished_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), object_table(tmp_path / "a.csv"):
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
