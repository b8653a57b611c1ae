import pytest

from data.sources.class_names import ClassNames, build_class_names
from data.sources.runs import IGNORE
from data.sources.source import SourceError
from tests.slides import make_cfg


def test_a_name_is_its_class_and_others_are_what_the_config_says():
    names = ClassNames(["a", "b"], {"A": "a", "hole": "background", "blur": "ignore", "roi": "drop", "": "b"})
    assert [names.index(name) for name in ("a", "b", "A", "hole", "blur", "roi", "")] == [1, 2, 1, 0, IGNORE, None, 2]


def test_a_meaning_comes_before_a_class_of_the_same_name():
    assert ClassNames(["a", "b"], {"a": "b", "b": "drop"}).index("a") == 2
    assert ClassNames(["a", "b"], {"a": "b", "b": "drop"}).index("b") is None


def test_a_star_stands_for_all_that_is_not_mentioned():
    names = ClassNames(["a"], {"*": "drop", "A": "a"})
    assert [names.index(name) for name in ("a", "A", "x", "", "ignore")] == [1, 1, None, None, None]


def test_a_class_may_have_the_name_of_a_meaning():
    assert ClassNames(["ignore", "a"]).index("ignore") == 1


@pytest.mark.parametrize("name", ["A", "a ", "drop", "background", "ignore"])
def test_other_names_are_unknown_letter_by_letter(name):
    with pytest.raises(SourceError, match=rf"has class '{name}'; DATASETS\.CLASSES are \['a'\]"):
        ClassNames(["a"]).index(name)


def test_what_a_name_stands_for_must_be_a_class_of_the_weights_too():
    with pytest.raises(SourceError, match="has class 'B'"):
        ClassNames(["a"], {"B": "b"}).index("B")


def test_the_config_ignores_what_qupath_ignores_and_maps_what_it_is_told():
    assert build_class_names(make_cfg()).index("Ignore*") == IGNORE
    names = build_class_names(make_cfg(DATASETS_LABEL_NAMES=[["GS", "object"], ["*", "drop"]]))
    assert [names.index(name) for name in ("GS", "object", "Ignore*")] == [1, 1, None]
