import numpy as np
import pytest
from shapely.geometry import box

from apps.add_objects import main
from tests.outlines import write_geojson
from tests.slides import noise, write_labels_csv, write_pyramid
from utils.rle import decode_rle, encode_rle
from utils.tables import read_table

SHAPE = (90, 700)  # wider than a strip


def square(top, left, side=20):
    mask = np.zeros(SHAPE, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def places(tmp_path):
    """Two labelled slides, and an empty folder for outlines."""
    for folder in ("slides", "more"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate("ab"):
        write_pyramid(tmp_path / "slides" / f"{name}.tiff", noise(*SHAPE, 3, seed=number))
    write_labels_csv(tmp_path / "labels.csv", {"a": square(5, 10), "b": square(50, 600)})
    return tmp_path


def add(places, *options):
    data = ["DATASETS.WSI_FOLDER", places / "slides", "DATASETS.LABELS_CSV", places / "labels.csv"]
    return main([str(word) for word in (places / "more", places / "new.csv", *data, *options)])


def masks(places):
    rows = read_table(places / "new.csv", ["id", "encoding"])
    return {row["id"] + " " + row["class"]: decode_rle(row["encoding"], SHAPE) for row in rows.to_dict("records")}


def test_outlined_objects_join_those_of_the_table(places, capsys):
    write_geojson(places / "more" / "a.geojson", [("object", box(500, 40, 530, 60)), ("object", box(20, 15, 60, 30))])
    assert add(places) == 0
    expected = square(5, 10)
    expected[40:60, 500:530] = expected[15:30, 20:60] = 1
    found = masks(places)
    np.testing.assert_array_equal(found["a object"], expected)
    np.testing.assert_array_equal(found["b object"], square(50, 600))
    assert "1 of 2 cases with objects added" in capsys.readouterr().out


def test_a_class_without_a_line_gets_one_and_the_outline_counts(places):
    lines = [f"a,one,{encode_rle(square(5, 10))}", f"b,two,{encode_rle(square(50, 600))}"]
    (places / "labels.csv").write_text("\n".join(["id,class,encoding", *lines, ""]))
    write_geojson(places / "more" / "a.geojson", [("two", box(10, 5, 30, 15))])
    assert add(places, "DATASETS.CLASSES", "['one','two']") == 0
    found = masks(places)
    assert list(found) == ["a one", "b two", "a two"]
    np.testing.assert_array_equal(found["a one"], square(5, 10) * (np.arange(90) >= 15)[:, None])
    np.testing.assert_array_equal(found["a two"][5:15, 10:30], 1)
    assert found["a two"].sum() == 200


def test_a_table_without_classes_is_of_the_first_one(places):
    write_geojson(places / "more" / "a.geojson", [("two", box(500, 40, 530, 60))])
    assert add(places, "DATASETS.CLASSES", "['one','two']") == 0
    found = masks(places)
    assert list(found) == ["a one", "b one", "a two"]
    np.testing.assert_array_equal(found["a one"], square(5, 10))
    assert found["a two"].sum() == 20 * 30


def test_one_bad_file_stops_no_other_and_loses_no_line(places, caplog):
    with (places / "labels.csv").open("a") as file:
        file.write("gone,1 2\n")
    (places / "more" / "a.geojson").write_text("{")
    write_geojson(places / "more" / "b.geojson", [("object", box(0, 0, 5, 5))])
    write_geojson(places / "more" / "gone.geojson", [("object", box(0, 0, 5, 5))])
    assert add(places) == 1
    assert "a: a.geojson is no readable JSON" in caplog.text
    rows = read_table(places / "new.csv", ["id", "encoding"])
    assert list(rows["id"]) == ["a", "b", "gone"]
    assert rows["encoding"].iloc[0] == encode_rle(square(5, 10))
    assert masks(places)["b object"].sum() == 20 * 20 + 25


def test_outlines_of_no_slide_and_no_outlines_are_refused(places, capsys):
    assert add(places) == 2
    assert "holds no outlines" in capsys.readouterr().err
    for name in ("a.geojson", "a.json", "c.geojson"):
        write_geojson(places / "more" / name, [])
    assert add(places) == 2
    errors = capsys.readouterr().err
    assert "c.geojson is of no slide" in errors
    assert "several files of a" in errors
    assert not (places / "new.csv").exists()
