from pathlib import Path

import numpy as np
import pytest

from data.sources import SourceError
from data.sources.class_names import ClassNames
from data.sources.named_mask import NamedMask, class_of_values, read_value_names
from data.sources.runs import IGNORE

TABLE = Path("_classes.csv")


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "_classes.csv").write_text(text, encoding="utf-8")
        return tmp_path / "_classes.csv"

    return write


def test_a_table_names_pixel_values(table):
    text = "\ufeffPixel Value, Class\n0, background\n1, prostate\n\n 12 ,transition zone\n"
    assert read_value_names(table(text)) == {0: "background", 1: "prostate", 12: "transition zone"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Pixel Value, Class\n", "names no pixel value"),
        ("", "names no pixel value"),
        ("Pixel Value, Class\n256, prostate\n", r"row \['256', 'prostate'\]; it must be"),
        ("Pixel Value, Class\n-1, prostate\n", "it must be"),
        ("Pixel Value, Class\n1,\n", "it must be"),
        ("Pixel Value, Class\n1, prostate, 3\n", "it must be"),
        ("Pixel Value, Class\n1, prostate\n1, bladder\n", "a value of its own"),
    ],
)
def test_a_table_that_is_wrong_is_an_error_that_says_how_it_must_be(table, text, message):
    with pytest.raises(SourceError, match=f"_classes.csv .*{message}"):
        read_value_names(table(text))


def test_a_table_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "_classes.csv").write_bytes(b"Pixel Value, Class\n1, \xff\xfe\n")
    with pytest.raises(SourceError, match="cannot be read"):
        read_value_names(tmp_path / "_classes.csv")


def test_values_become_the_indices_of_the_classes_by_their_names():
    names = {0: "Background", 1: "bladder", 2: "prostate", 3: "shadow", 4: "rest"}
    meanings = ClassNames(["prostate", "bladder"], {"shadow": "ignore", "rest": "drop"})
    found = class_of_values(names, meanings, TABLE)
    assert found == ((0, 0), (1, 2), (2, 1), (3, IGNORE), (4, 0))
    mask = NamedMask(Path("a_mask.png"), TABLE, found)
    assert mask.to_classes(np.array([[0, 1, 2], [3, 4, 2]], np.uint8)).tolist() == [[0, 2, 1], [IGNORE, 0, 1]]


def test_a_class_may_be_called_background():
    assert class_of_values({0: "tissue", 7: "background"}, ClassNames(["background", "tissue"]), TABLE) == (
        (0, 2),
        (7, 1),
    )


def test_a_name_without_a_meaning_and_a_class_without_a_value_are_errors():
    with pytest.raises(SourceError, match=r"_classes\.csv has class 'bladder'; DATASETS.CLASSES are \['prostate'\]"):
        class_of_values({1: "prostate", 2: "bladder"}, ClassNames(["prostate"]), TABLE)
    with pytest.raises(SourceError, match=r"names \['prostate'\]; DATASETS.CLASSES has \['bladder'\] besides"):
        class_of_values({1: "prostate"}, ClassNames(["prostate", "bladder"]), TABLE)


def test_a_value_that_the_table_does_not_name_is_an_error():
    with pytest.raises(ValueError, match=r"has value 200, which _classes\.csv does not name"):
        NamedMask(Path("a_mask.png"), TABLE, ((0, 0), (1, 1))).to_classes(np.array([0, 1, 200, 255], np.uint8))
