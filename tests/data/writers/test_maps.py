import numpy as np
from PIL import Image

from config import load_cfg
from data.cases import Case
from data.patches.grid import whole
from data.patches.scale import Scale
from data.sources.opening import build_reader
from data.stitching.case import build_inference
from data.writers.maps import predict_maps
from data.writers.results import Results
from utils.failures import Failures


def constant(value):
    """What loads a network that says the same everywhere."""
    return lambda: lambda patches: np.full((len(patches), 1, *patches.shape[2:]), value, np.float32)


def refused():
    raise AssertionError("the network is loaded though nothing is missing")


def predict(folder, ids, load, failures):
    cfg = load_cfg(options=["TEST.PATCH", "64", "TEST.OVERLAP", "0", "DATASETS.LAYOUT", "pairs"])
    cases = [Case(name, folder / f"{name}.png") for name in ids]
    setting = build_reader(cfg), build_inference(cfg, Scale(1.0))
    return predict_maps(cases, *setting, load, Results(folder / "out"), failures, "cases")


def test_maps_that_are_missing_are_made_and_those_that_are_there_are_kept(tmp_path):
    for name in "ac":
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    failures = Failures()
    assert list(predict(tmp_path, "ab", constant(0.2), failures)) == ["a"]
    assert failures.ids == {"b"}
    later = predict(tmp_path, "ac", constant(0.4), failures)
    assert {name: int(each.read(whole((40, 50))).max()) for name, each in later.items()} == {"a": 51, "c": 102}
    assert list(predict(tmp_path, "ac", refused, failures)) == ["a", "c"]
