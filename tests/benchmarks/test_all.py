import re
from dataclasses import replace

import pytest

from benchmarks import all as every
from benchmarks.network import OPTIONS
from config import load_cfg
from model.card import build_card
from model.checkpoints import save_checkpoint
from model.custom_models import build_model


@pytest.mark.slow
def test_a_quick_run_ends_with_a_line_a_figure_and_leaves_table_and_pictures(tmp_path, capfd):
    cfg = load_cfg("", OPTIONS)
    weights = tmp_path / "weights" / "fold0.safetensors"
    save_checkpoint(
        weights, build_model(cfg).state_dict(), replace(build_card(cfg, [0.5] * 3, [0.25] * 3, 1.0), threshold=0.5)
    )
    assert every.main(["--quick", "--folder", str(tmp_path), "--only", "tiling", "seams"]) == 0
    lines = capfd.readouterr().out.splitlines()
    figures = [line for line in lines if re.fullmatch(r"\S+ -?[\d.e+]+ [<>][\d.]+", line)]
    assert figures[-7:] == lines[-7:]
    assert len((tmp_path / "figures.csv").read_text().splitlines()) == 1 + 7
    assert (tmp_path / "performance_overlap.png").stat().st_size > 0
