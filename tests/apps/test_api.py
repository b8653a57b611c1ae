import base64
import io
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from apps.api import build_app
from apps.pictures import kind_of
from apps.segmenter import build_segmenter, load_app_cfg
from config import ConfigError, load_cfg
from tests.data.sources.test_dicom import write_dicom
from tests.pictures import CARD, draw_disc, save_disc, save_weights
from tests.server import running

PATH = "/api/process_image"


def encode(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def decode(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights"), replace(CARD, validation_ids=("patient-7",)))


@pytest.fixture(scope="module")
def api(weights):
    limits = ["SERVE.MEGAPIXELS", "0.1", "SERVE.MEGABYTES", "0.4"]
    with running(weights, *limits) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def send(api, content, name="a.png", **query):
    return api.post(PATH, files={"image": (name, content)}, params=query)


@pytest.fixture(scope="module")
def expected(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    save_disc(folder / "a.png", (91, 133))
    with build_segmenter(load_app_cfg(weights, 0.0))(folder / "a.png") as found:
        return found.overlay(), found.mask()


def test_a_picture_gives_its_overlay_at_its_size(api, expected):
    found = send(api, encode(draw_disc((91, 133))))
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(decode(found.content), expected[0])


def test_a_mask_is_sent_on_request(api, expected):
    found = send(api, encode(draw_disc((91, 133))), form="mask")
    np.testing.assert_array_equal(decode(found.content), expected[1])


def test_a_description_counts_the_pixels_of_each_class(api, expected):
    found = send(api, encode(draw_disc((91, 133))), form="json").json()
    count = int((expected[1] == 1).sum())
    assert found["classes"] == [{"index": 1, "name": "disc", "threshold": 0.5, "pixels": count}]
    assert (found["rows"], found["columns"]) == (91, 133)
    np.testing.assert_array_equal(decode(base64.b64decode(found["mask_png"])), expected[1])


def test_a_threshold_may_be_sent(api):
    picture = encode(draw_disc((91, 133)))
    assert decode(send(api, picture, form="mask", threshold=0.05).content).all()
    assert not decode(send(api, picture, form="mask", threshold=0.99).content).any()


def test_every_kind_is_known_by_its_content_whatever_its_name(api, expected, tmp_path):
    pixels = draw_disc((91, 133))
    write_dicom(tmp_path / "a.dcm", pixels)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    contents = [encode(pixels, "BMP"), (tmp_path / "a.dcm").read_bytes(), (tmp_path / "a.tif").read_bytes()]
    for content in contents:
        np.testing.assert_array_equal(decode(send(api, content, "a.jpg", form="mask").content), expected[1])
    assert send(api, encode(pixels, "JPEG"), "a").status_code == 200


@pytest.mark.parametrize("name", ["../../a.png", "/etc/passwd", "..", "a\\..\\b.png", "\u00e4" * 300, "a\r\nb.png"])
def test_a_name_harms_nothing(name, api, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = send(api, encode(draw_disc((91, 133))), name)
    np.testing.assert_array_equal(decode(found.content), expected[0])
    assert list(tmp_path.iterdir()) == []


def test_a_request_without_an_image_is_a_422(api):
    for request in ({}, {"files": {"picture": b"x"}}, {"data": {"image": "text"}}, {"json": {"image": "x"}}):
        assert api.post(PATH, **request).status_code == 422


@pytest.mark.parametrize("query", [{"threshold": 0}, {"threshold": "nan"}, {"threshold": 1.5}, {"form": "gif"}])
def test_a_wrong_query_is_a_422(query, api):
    assert send(api, encode(draw_disc((9, 9))), **query).status_code == 422


def big_tile():
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((16, 16, 3), np.uint8), photometric="rgb", tile=(1024, 1024), compression="zlib")
    return file.getvalue()


BAD = {
    "empty": (b"", 415, "no picture of a known kind"),
    "text": (b"not a picture", 415, "no picture of a known kind"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "no picture of a known kind"),
    "broken png": (encode(draw_disc((91, 133)))[:9000], 400, "picture.png is damaged"),
    "head of a png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, 400, "picture.png cannot be read"),
    "head of a jpg": (b"\xff\xd8\xff" + b"\0" * 99, 400, "picture.jpg cannot be read"),
    "head of a tif": (b"II*\0" + b"\xff" * 99, 400, "picture.tif"),
    "head of a dicom": (b"\0" * 128 + b"DICM" + b"\xff" * 99, 400, "picture.dcm"),
    "grey": (encode(draw_disc((9, 9), channels=1)), 400, "picture.png has 1 channels"),
    "many pixels": (encode(np.zeros((400, 300, 3), np.uint8)), 413, "0.12 megapixels"),
    "a large tile": (big_tile(), 413, "1.05 megapixels"),
    "many bytes": (b"\x89PNG\r\n\x1a\n" + b"\0" * 400_000, 413, "request or the picture is too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_picture_that_is_none_is_named_with_a_status_of_its_own(name, api):
    content, status, message = BAD[name]
    found = send(api, content)
    assert found.status_code == status
    assert message in found.json()["detail"]
    assert "/tmp" not in found.text
    assert api.get("/health").json() == {"status": "ok", "in_work": 0}


def test_a_body_of_unknown_length_is_cut_off_too(api):
    def parts():
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        for _ in range(100):
            yield b"\0" * 10_000
        yield b"\r\n--x--\r\n"

    found = api.post(PATH, content=parts(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert found.status_code == 413


def test_a_body_that_does_not_arrive_gives_its_place_back(weights):
    with running(weights, "SERVE.UPLOAD_SECONDS", "0.3", "SERVE.QUEUE", "1") as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            slow.sendall(f"{head}Content-Length: 99\r\n\r\n--x\r\n".encode())
            assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]
        found = httpx.post(address + PATH, files={"image": encode(draw_disc((40, 40)))}, timeout=60)
        assert found.status_code == 200


def test_the_queue_is_bounded_and_one_picture_is_predicted_at_a_time(weights):
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slowly(segmenter):
        def predict(patches):
            begun.release()
            go_on.wait(30)
            return segmenter.predictor(patches)

        return replace(segmenter, predictor=predict)

    picture = {"image": encode(draw_disc((40, 40)))}
    with running(weights, "SERVE.QUEUE", "3", change=slowly) as address, ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(httpx.post, address + PATH, files=picture, timeout=60) for _ in range(3)]
        begun.acquire(timeout=30)
        while httpx.get(address + "/health", timeout=5).json()["in_work"] < 3:  # nobody else waits for the network
            time.sleep(0.01)
        refused = httpx.post(address + PATH, files=picture, timeout=60)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert not begun.acquire(timeout=0.3)  # the second waits for the first
        go_on.set()
        assert [each.result().status_code for each in waiting] == [200] * 3
        assert httpx.post(address + PATH, files=picture, timeout=60).status_code == 200


def test_clients_at_once_get_the_answers_of_one_after_the_other(api):
    pictures = [encode(draw_disc((60, 70 + 5 * number), seed=number)) for number in range(8)]
    alone = [send(api, picture).content for picture in pictures]
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda picture: send(api, picture).content, pictures))
    assert together == alone


def test_scratch_files_are_gone(api, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert send(api, encode(draw_disc((91, 133)))).status_code == 200
    assert send(api, encode(draw_disc((91, 133)))[:9000]).status_code == 400
    assert os.listdir(tmp_path) == []


def test_the_model_is_described_without_folders_and_patients(api):
    found = api.get("/model")
    assert "patient" not in found.text
    assert "LAYOUT" not in found.text
    found = found.json()
    assert found["classes"] == ["disc"]
    assert found["rule"]["threshold"] == 0.5
    assert found["networks"][0]["reduction"] == 2.0
    assert found["networks"][0]["std"] == [1.0] * 3
    assert found["limits"] == {"megapixels": 0.1, "megabytes": 0.4, "requests": 8}


def test_the_api_describes_itself_without_another_server(api):
    schema = api.get("/openapi.json").json()
    assert set(schema["paths"]) == {PATH, "/health", "/model"}
    assert {"200", "400", "408", "413", "415", "422", "429"} <= set(schema["paths"][PATH]["post"]["responses"])
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(f"<code>{part}</code>" in page.text for part in (f"POST {PATH}", "GET /health", "threshold", "429"))
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_other_methods_and_paths_are_refused(api):
    assert api.get(PATH).status_code == 405
    assert api.post("/health").status_code == 405
    assert api.get("/api/../../etc/passwd").status_code == 404


def test_libraries_that_are_missing_say_how_to_install_them(weights, monkeypatch):
    cfg = load_cfg()
    segmenter = build_segmenter(load_app_cfg(weights, 0.0))
    for name in ("fastapi", "python_multipart"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ConfigError, match=rf"the web API needs {name}.*requirements-api\.txt"):
                build_app(cfg, segmenter)


def test_kinds_are_known_by_their_first_bytes():
    pixels = draw_disc((8, 8))
    assert [kind_of(encode(pixels, kind)) for kind in ("PNG", "JPEG", "BMP", "TIFF", "GIF")] == [
        ".png", ".jpg", ".bmp", ".tif", None]  # fmt: skip
    for options in ({}, {"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}):
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, photometric="rgb", **options)
        assert kind_of(file.getvalue()) == ".tif"
    assert kind_of(b"") is None
