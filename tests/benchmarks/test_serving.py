import json

import pytest

from benchmarks.serving import main
from tests.pictures import save_disc, save_weights


@pytest.mark.slow
def test_clients_at_once_are_all_answered_and_counted(tmp_path, capsys):
    save_weights(tmp_path / "weights")
    (tmp_path / "in").mkdir()
    for number in range(2):
        save_disc(tmp_path / "in" / f"{number}.png")
    words = [str(tmp_path / "weights"), str(tmp_path / "in"), "--clients", "8", "--seconds", "2"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["statuses"] == {"200": figures["requests"]}
    assert 0 < figures["p50_s"] <= figures["p99_s"]
    assert len(figures["memory_mb"]) == 6
