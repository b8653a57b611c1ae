import pytest

from benchmarks.figures import Figure, load_figures, load_rows, ratio, save, size_name, write_table


def test_line_has_three_columns():
    assert Figure("tiling_over_floor_8k", 1.23456, "<1.5").line.split() == ["tiling_over_floor_8k", "1.235", "<1.5"]


@pytest.mark.parametrize(("target", "met", "missed"), [("<1.25", 1.2, 1.25), (">3", 3.1, 3)])
def test_target_is_met_strictly(target, met, missed):
    assert Figure("a", met, target).is_met
    assert not Figure("a", missed, target).is_met


def test_what_was_saved_is_loaded(tmp_path, capsys):
    figures, rows = [Figure("a", 1.5, "<2")], [{"side": 4096, "seconds": [1.0, 2.0]}]
    save(tmp_path, "tiling", figures, rows)
    assert capsys.readouterr().out == "a 1.5 <2\n"
    assert (load_figures(tmp_path, "tiling"), load_rows(tmp_path, "tiling")) == (figures, rows)
    assert load_figures(tmp_path, "peers") == load_rows(tmp_path, "peers") == []


def test_table_of_figures_has_a_line_each(tmp_path):
    write_table(tmp_path, [Figure("a", 1.5, "<2")])
    assert (tmp_path / "figures.csv").read_text().split() == ["name,value,target", "a,1.5,<2"]


def test_ratio_is_the_median_of_those_of_each_turn():
    assert ratio([2, 9, 4], [1, 3, 1]) == 3


def test_size_name_counts_in_1024():
    assert [size_name(side) for side in (1024, 65536)] == ["1k", "64k"]
