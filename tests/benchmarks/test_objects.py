import json

import pytest

from benchmarks import objects_write
from benchmarks.figures import load_figures, load_rows
from benchmarks.objects import main


def test_both_ways_find_every_disk(tmp_path, capsys):
    for way in ("strips", "whole"):
        objects_write.main([str(tmp_path / "maps" / "a.zarr"), "256", way])
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["objects"] for answer in answers] == [16 * 16] * 2


@pytest.mark.slow
def test_a_quick_run_leaves_its_figures(tmp_path):
    main(["--quick", "--folder", str(tmp_path)])
    assert len(load_figures(tmp_path, "objects")) == 5
    assert [row["objects"] for row in load_rows(tmp_path, "objects")] == [64**2, 128**2, 64**2]
