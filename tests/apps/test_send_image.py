import json
import socket

import numpy as np
import pytest
from PIL import Image

from apps.segmenter import build_segmenter, load_app_cfg
from apps.send_image import main
from tests.pictures import save_disc, save_weights
from tests.server import running


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def address(weights):
    with running(weights) as address:
        yield address


def test_the_answer_is_saved(address, weights, tmp_path, capsys):
    save_disc(tmp_path / "a b.jpg")
    out = tmp_path / "new" / "overlay.png"
    assert main([str(tmp_path / "a b.jpg"), str(out), "--url", address]) == 0
    with Image.open(out) as image, build_segmenter(load_app_cfg(weights, 0.0))(tmp_path / "a b.jpg") as found:
        np.testing.assert_array_equal(np.asarray(image), found.overlay())
    assert str(out) in capsys.readouterr().out


def test_form_and_threshold_are_sent(address, tmp_path):
    save_disc(tmp_path / "a.png", (40, 50))
    words = [str(tmp_path / "a.png"), str(tmp_path / "a.json"), "--url", f"{address}/", "--form", "json"]
    assert main([*words, "--threshold", "0.05"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["classes"][0]["pixels"] == 2000


def test_a_refused_picture_exits_with_1_and_says_why(address, tmp_path, capsys):
    (tmp_path / "a.png").write_text("no picture")
    assert main([str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--url", address]) == 1
    assert "a.png: 415" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(("picture", "url"), [("gone.png", "http://127.0.0.1:1"), ("a.png", "ftp://x"), ("a.png", "x")])
def test_a_call_that_cannot_work_exits_with_2(picture, url, tmp_path, capsys):
    save_disc(tmp_path / "a.png")
    assert main([str(tmp_path / picture), str(tmp_path / "b.png"), "--url", url]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_server_that_is_not_there_exits_with_3(tmp_path, capsys):
    save_disc(tmp_path / "a.png")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main([str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--url", f"http://127.0.0.1:{port}"]) == 3
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
