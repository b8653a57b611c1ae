"""The scripts from the outside: usage, exit codes, and the whole flow on tiny slides."""

import contextlib
import errno
import io
import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image
from rasterio.features import rasterize

import export_net
import serve_net
import test_net
import tiles_creator
import train_net
from model.card import ModelCard
from tests.networks import write_mean

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {
    "tiles_creator": tiles_creator,
    "train_net": train_net,
    "test_net": test_net,
    "export_net": export_net,
    "serve_net": serve_net,
}
FLOW = [name for name in SCRIPTS if name != "serve_net"]  # that one ends when it is told to
PINK, PURPLE, GLASS = (225, 150, 190), (120, 60, 150), (243, 243, 243)


# ---- usage


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_and_says_how_to_call(script):
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, f"{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "--config-file" in done.stdout
    assert "KEY VALUE" in done.stdout
    assert done.stderr == ""
    assert time.monotonic() - begun < 5  # under a second on a quiet machine


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_mistakes_of_a_call_are_told_at_once_and_exit_with_2(script, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["SOLVER.EPOCS", "3", "SOLVER.LR", "fast", "TEST.TTA", "all", "DATASETS.WSI_FOLDER", "/no/such/folder",
               "TEST.WSI_FOLDER", "/no/such/folder", "INPUT.SIZE_TRAIN", "100"]  # fmt: skip
    options += ["TEST.MODEL_WEIGHTS_FOLDER", "/no/such/folder"] * (script in ("export_net", "serve_net"))
    assert SCRIPTS[script].main(options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    parts = ["did you mean SOLVER.EPOCHS?", "SOLVER.LR is 'fast'", "TEST.TTA is 'all'", "INPUT.SIZE_TRAIN is 100"]
    for part in [*parts, "'/no/such/folder', which does not exist"]:
        assert sum(part in line for line in lines) == 1, part
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_flag_that_does_not_exist_exits_with_2(script, capsys):
    with pytest.raises(SystemExit) as caught:
        SCRIPTS[script].main(["--no-such-flag"])
    assert caught.value.code == 2
    assert "--no-such-flag" in capsys.readouterr().err


@contextlib.contextmanager
def plain_logging():
    """Begin with a root logger as of a new process, give it back as it was, and close the log files of the runs."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:], root.level = [], logging.WARNING
    try:
        yield
    finally:
        for handler in root.handlers[:]:
            handler.close()
        root.handlers[:], root.level = before, level


def test_a_table_without_the_right_columns_exits_with_2(tmp_path, capsys):
    (tmp_path / "slides").mkdir()
    (tmp_path / "labels.csv").write_text("name,rle\na,1 2\n")
    options = ["DATASETS.WSI_FOLDER", str(tmp_path / "slides"), "DATASETS.LABELS_CSV", str(tmp_path / "labels.csv"),
               "DATASETS.TRAIN_FOLDER", str(tmp_path / "train")]  # fmt: skip
    assert tiles_creator.main(options) == 2
    assert "labels.csv has no column ['id', 'encoding']" in capsys.readouterr().err


def test_a_folder_without_weights_exits_with_2(tmp_path, capsys):
    (tmp_path / "slides").mkdir()
    options = ["TEST.WSI_FOLDER", str(tmp_path / "slides"), "TEST.MODEL_WEIGHTS_FOLDER", str(tmp_path),
               "TEST.OUTPUT_DIR", str(tmp_path / "out")]  # fmt: skip
    assert test_net.main(options) == 2
    assert "holds no .safetensors, .pth, .pt, .onnx file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


IMPORTS = "import sys, test_net; code = test_net.main(sys.argv[1:]); print(code, *sys.modules)"


def predict_apart(options):
    """Exit code of test_net.py in a process of its own, and the packages that it imported."""
    argv = [str(word) for pair in options.items() for word in pair]
    done = subprocess.run([sys.executable, "-c", IMPORTS, *argv], cwd=ROOT, capture_output=True, text=True, timeout=120)
    code, *modules = done.stdout.splitlines()[-1].split()
    return int(code), {module.split(".")[0] for module in modules}


def test_prediction_with_onnx_weights_imports_no_torch(tmp_path):
    (tmp_path / "slides").mkdir()
    (tmp_path / "weights").mkdir()
    save_strips(tmp_path / "slides" / "a.tif", draw((200, 260), [(90, 90, 40)])[0])
    write_mean(tmp_path / "weights" / "a.onnx", ModelCard("Unet", "", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 2.0))
    options = {"WSI_FOLDER": tmp_path / "slides", "MODEL_WEIGHTS_FOLDER": tmp_path / "weights", "TH": 0.5,
               "OUTPUT_DIR": tmp_path / "out"}  # fmt: skip
    code, packages = predict_apart({f"TEST.{name}": value for name, value in options.items()})
    assert code == 0
    assert "onnxruntime" in packages
    assert not packages & {"torch", "torchvision", "fastai", "segmentation_models_pytorch", "timm", "onnx"}
    assert tifffile.imread(tmp_path / "out" / "masks" / "a.tiff").any()


def test_a_folder_that_may_not_be_written_exits_with_3(tmp_path, capsys, monkeypatch):
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.tiff").touch()
    (tmp_path / "labels.csv").write_text("id,encoding\na,\n")

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "train"))

    monkeypatch.setattr(tiles_creator, "start_run", full)
    options = ["DATASETS.WSI_FOLDER", str(tmp_path / "slides"), "DATASETS.LABELS_CSV", str(tmp_path / "labels.csv")]
    assert tiles_creator.main(options) == 3
    assert "No space left on device" in capsys.readouterr().err


# ---- the whole flow


def draw(shape, discs, background=PINK, seed=0):
    """Purple discs (row, column, radius) on pink tissue with some noise, and their mask."""
    rows, columns = np.indices(shape)
    mask = np.zeros(shape, np.uint8)
    for row, column, radius in discs:
        mask |= (np.hypot(rows - row, columns - column) <= radius).astype(np.uint8)
    colours = np.where(mask[..., None] == 1, PURPLE, background)
    spread = 12 if discs else 3
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, (*shape, 3))
    return np.clip(colours + noise, 0, 255).astype(np.uint8), mask


def encode(mask):
    """Run lengths by a plain loop, apart from the code under test."""
    words, flat = [], [0, *mask.ravel(order="F").tolist(), 0]
    for place in range(1, len(flat)):
        if flat[place] and not flat[place - 1]:
            start = place
        if flat[place - 1] and not flat[place]:
            words += [start, place - start]
    return " ".join(map(str, words))


def decode(text, shape):
    """Mask of run lengths by a plain loop, apart from the code under test."""
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    words = [int(word) for word in text.split()]
    for start, length in zip(words[::2], words[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(shape, order="F")


def save_pyramid(path, image):
    with tifffile.TiffWriter(path) as writer:
        for level in range(2):
            step = 2**level
            pixels_per_cm = 20_000 / step
            writer.write(np.ascontiguousarray(image[::step, ::step]), photometric="rgb", tile=(128, 128), metadata=None,
                         compression="zlib", subfiletype=int(level > 0), resolution=(pixels_per_cm, pixels_per_cm),
                         resolutionunit="CENTIMETER")  # fmt: skip


def save_planar(path, image):
    planes = np.moveaxis(image, -1, 0)[None, None]
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", resolution=(20_000, 20_000),
                     resolutionunit="CENTIMETER")  # fmt: skip


def save_strips(path, image):
    tifffile.imwrite(
        path, image, photometric="rgb", rowsperstrip=16, resolution=(20_000, 20_000), resolutionunit="CENTIMETER"
    )


SLIDES = {
    "0001": (save_strips, draw((401, 523), [(120, 130, 50), (300, 380, 60), (60, 420, 35)], seed=1)),
    "planar": (save_planar, draw((512, 416), [(250, 200, 70), (80, 90, 40), (450, 330, 35)], seed=2)),
    "pyramid": (save_pyramid, draw((450, 600), [(200, 150, 60), (300, 450, 55), (90, 330, 40)], seed=3)),
    "tiles,odd": (save_pyramid, draw((520, 430), [(130, 300, 55), (400, 120, 65), (300, 380, 30)], seed=4)),
    "glass": (save_strips, draw((420, 440), [], GLASS, seed=5)),
}


def make_slides(folder):
    """Slides and labels.csv, with a broken file that has labels too."""
    folder.mkdir()
    lines = ["id,encoding"]
    for name, (save, (image, mask)) in SLIDES.items():
        save(folder / f"{name}.tif", image)
        lines.append(f'"{name}",{encode(mask)}')
    content = (folder / "planar.tif").read_bytes()
    (folder / "broken.tiff").write_bytes(content[: len(content) // 3])
    lines.append("broken,1 5")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def options_for(root):
    return {
        "DATASETS.WSI_FOLDER": root / "slides",
        "DATASETS.LABELS_CSV": root / "slides" / "labels.csv",
        "DATASETS.TRAIN_FOLDER": root / "train",
        "OUTPUT_DIR": root / "runs",
        "RUN_NAME": "run",
        "TILES.REDUCTION": 2,
        "INPUT.SIZE_TRAIN": 64,
        "MODEL.ARCHITECTURE": "Unet",
        "MODEL.ENCODER_NAME": "resnet18",
        "MODEL.ENCODER_WEIGHTS": None,
        "SOLVER.N_FOLDS": 2,
        "SOLVER.EPOCHS": 5,
        "SOLVER.BATCH_SIZE": 4,  # twice the steps: after fewer, the batches' statistics do not hold in validation
        "SOLVER.NUM_WORKERS": 0,
        "SOLVER.LR": 3e-3,
        "SOLVER.ENCODER_LR_FACTOR": 1.0,
        "AUGMENTATION.DISTORTION": 0,
        "TEST.PATCH": 64,  # as in training: after five epochs a network does not yet bear another size
        "TEST.OVERLAP": 32,
        "TEST.WSI_FOLDER": root / "slides",
        "TEST.LABELS_CSV": root / "slides" / "labels.csv",
        "TEST.MODEL_WEIGHTS_FOLDER": root / "runs" / "run" / "weights",
        "TEST.OUTPUT_DIR": root / "results",
        "TEST.MIN_OBJECT": 20,
        "TEST.MAX_HOLE": 20,
        "TEST.OVERLAY_PX": 300,
    }


def call(script, options):
    """Exit code and the lines of standard output of a script called in this process."""
    argv = [str(word) for pair in options.items() for word in pair]
    output = io.StringIO()
    with plain_logging(), contextlib.redirect_stdout(output):
        code = SCRIPTS[script].main(argv)
    return SimpleNamespace(code=code, lines=output.getvalue().splitlines())


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """The scripts, one after the other, in a working directory of their own."""
    root = tmp_path_factory.mktemp("flow")
    make_slides(root / "slides")
    (root / "here").mkdir()
    with contextlib.chdir(root / "here"):
        done = {name: call(name, options_for(root)) for name in FLOW}
    return SimpleNamespace(root=root, run=root / "runs" / "run", results=root / "results", **done)


def read_csv(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def failed_ids(path):
    return read_csv(path)["id"].tolist()


def no_drafts(folder):
    return not [path for path in folder.rglob(".*") if path.name.startswith(".") and path.parent.suffix != ".zarr"]


@pytest.mark.slow
class TestFlow:
    def test_tiles_are_cut_and_the_broken_slide_is_named(self, flow):
        assert flow.tiles_creator.code == 1
        assert flow.tiles_creator.lines[-1] == "failed 1 of 6 cases"
        assert failed_ids(flow.root / "train" / "failures.csv") == ["broken"]
        table = read_csv(flow.root / "train" / "images_64_red2" / "tiles.csv")
        assert set(table["id"]) == set(SLIDES) - {"glass"}
        files = {path.name for path in (flow.root / "train" / "masks_64_red2").glob("*.png")}
        assert files == set(table["tile"])
        card = json.loads((flow.root / "train" / "images_64_red2" / "tiles.json").read_text())
        assert card["spacing_um"] == pytest.approx(1.0, rel=0.01)
        np.testing.assert_allclose(np.array(card["mean"]) * 255, PINK, atol=30)

    def test_training_ends_with_the_dice_out_of_fold(self, flow):
        match = re.fullmatch(r"out-of-fold Dice (\d\.\d{3}) at threshold (\d\.\d{2})", flow.train_net.lines[-1])
        assert match
        assert float(match[1]) > 0.8
        scores = pd.read_csv(flow.run / "scores.csv").set_index("id")
        assert float(match[1]) == pytest.approx(scores.loc["(pooled)", "dice"], abs=6e-4)
        curve = pd.read_csv(flow.run / "dice_threshold.csv")
        best = curve.loc[curve["dice"].idxmax()]
        assert float(match[2]) == pytest.approx(best["threshold"], abs=0.1)  # the middle of a plateau
        assert float(match[1]) == pytest.approx(best["dice"], abs=0.03)  # before small objects and holes went

    def test_training_leaves_weights_history_and_report(self, flow):
        for fold in range(2):
            assert (flow.run / "weights" / f"fold{fold}.safetensors").is_file()
            assert (flow.run / "last_epoch" / f"fold{fold}.safetensors").is_file()
        history = pd.read_csv(flow.run / "history.csv")
        assert history[["fold", "epoch"]].to_numpy().tolist() == [[f, e] for f in range(2) for e in range(1, 6)]
        for name in (
            "history.png",
            "dice_threshold.png",
            "report.html",
            "config.yaml",
            "versions.txt",
            "log.txt",
            "folds.csv",
        ):
            assert (flow.run / name).stat().st_size > 0, name

    def test_the_threshold_and_the_best_epoch_are_in_the_weights(self, flow):
        from model.checkpoints import load_card

        history = pd.read_csv(flow.run / "history.csv")
        folds = read_csv(flow.run / "folds.csv").set_index("id")["fold"]
        printed = float(flow.train_net.lines[-1].split()[-1])
        for fold in range(2):
            card = load_card(flow.run / "weights" / f"fold{fold}.safetensors")
            own = history[history["fold"] == fold]
            assert card.threshold == pytest.approx(printed, abs=0.006)
            assert card.valid_dice == pytest.approx(own["valid_dice"].max(), rel=1e-4)
            assert own[own["epoch"] == card.epoch]["valid_dice"].iloc[0] == own["valid_dice"].max()
            assert set(card.validation_ids) == set(folds[folds == str(fold)].index)
            assert (card.reduction, card.in_channels) == (2.0, 3)

    def test_every_case_has_a_map_of_the_fold_that_did_not_see_it(self, flow):
        from data.stitching.probability_map import open_map

        for name in set(SLIDES) - {"glass"}:
            probabilities = open_map(flow.run / "probabilities" / f"{name}.zarr")
            assert probabilities.frame.shape_level0 == SLIDES[name][1][1].shape

    def test_prediction_ends_with_dice_and_failed_cases(self, flow):
        assert flow.test_net.code == 1
        assert flow.test_net.lines[-1] == "failed 1 of 6 cases"
        match = re.fullmatch(r"Dice (\d\.\d{3}) over 5 cases", flow.test_net.lines[-2])
        assert match
        assert float(match[1]) > 0.85
        scores = pd.read_csv(flow.results / "scores.csv")
        assert scores["id"].tolist()[-1] == "(pooled)"
        assert scores["dice"].iloc[-1] == pytest.approx(float(match[1]), abs=6e-4)

    def test_the_broken_slide_is_one_clear_line(self, flow):
        (row,) = read_csv(flow.results / "failures.csv").to_dict("records")
        assert (row["id"], row["file"]) == ("broken", "broken.tiff")
        assert "broken.tiff" in row["message"]
        assert "\n" not in row["message"]

    def test_run_lengths_by_another_decoder_equal_the_tiff_mask(self, flow):
        table = read_csv(flow.results / "output.csv")
        assert sorted(table["id"]) == sorted(SLIDES)
        for case_id, text in zip(table["id"], table["predicted"], strict=True):
            mask = tifffile.imread(flow.results / "masks" / f"{case_id}.tiff")
            assert mask.shape == SLIDES[case_id][1][1].shape
            np.testing.assert_array_equal(decode(text, mask.shape), mask)

    def test_the_dice_printed_is_that_of_the_masks_written(self, flow):
        both = total = 0
        for name, (_, (_, truth)) in SLIDES.items():
            mask = tifffile.imread(flow.results / "masks" / f"{name}.tiff")
            both += np.count_nonzero(mask & truth)
            total += np.count_nonzero(mask) + np.count_nonzero(truth)
        assert flow.test_net.lines[-2] == f"Dice {2 * both / total:.3f} over 5 cases"

    def test_geojson_gives_the_tiff_mask_back_and_the_table_has_its_areas(self, flow):
        table = read_csv(flow.results / "objects.csv")
        for case_id in SLIDES:
            mask = tifffile.imread(flow.results / "masks" / f"{case_id}.tiff")
            features = json.loads((flow.results / "geojson" / f"{case_id}.geojson").read_text())["features"]
            outlines = [feature["geometry"] for feature in features]
            np.testing.assert_array_equal(rasterize(outlines, mask.shape) if outlines else mask * 0, mask)
            own = table[table["id"] == case_id]
            assert own["object"].tolist() == [feature["id"] for feature in features]
            assert own["area_px"].astype(int).sum() == np.count_nonzero(mask)
            with Image.open(flow.results / "previews" / f"{case_id}.png") as preview:
                assert max(preview.size) == 300

    def test_glass_without_objects_is_an_empty_valid_result(self, flow):
        table = read_csv(flow.results / "output.csv").set_index("id")
        assert table.loc["glass", "predicted"] == ""
        assert json.loads((flow.results / "geojson" / "glass.geojson").read_text())["features"] == []
        scores = pd.read_csv(flow.results / "scores.csv").set_index("id")
        assert scores.loc["glass", "dice"] == 1

    def test_the_mask_keeps_the_pixel_size(self, flow):
        with tifffile.TiffFile(flow.results / "masks" / "planar.tiff") as file:
            number, per = file.pages[0].tags["XResolution"].value
            assert 10_000 * per / number == pytest.approx(0.5, rel=1e-4)

    @pytest.mark.parametrize("folder", ["run", "results"])
    def test_reports_need_no_network(self, flow, folder):
        html = (getattr(flow, folder) / "report.html").read_text(encoding="utf-8")
        assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", html)
        assert "0001" in html
        assert "data:image" in html

    def test_every_case_has_its_pictures(self, flow):
        for name in SLIDES:
            assert (flow.results / "overlays" / f"{name}.jpg").is_file()

    def test_nothing_half_written_is_left_and_nothing_lies_elsewhere(self, flow):
        assert no_drafts(flow.root)
        assert list((flow.root / "here").iterdir()) == []
        assert {path.name for path in flow.root.iterdir()} == {"slides", "train", "runs", "results", "here"}

    def test_predicting_again_without_labels_at_a_threshold_of_ones_own(self, flow, tmp_path):
        test = {"LABELS_CSV": "", "TH": 0.999, "TTA": "flips", "OUTPUT_DIR": tmp_path, "MIN_OBJECT": 0, "MAX_HOLE": 0}
        changes = {f"TEST.{name}": value for name, value in test.items()}
        done = call("test_net", options_for(flow.root) | changes)
        assert done.code == 1
        assert done.lines[-1] == "failed 1 of 6 cases"
        assert not [line for line in done.lines if line.startswith("Dice")]
        assert not (tmp_path / "scores.csv").exists()
        assert sorted(read_csv(tmp_path / "output.csv")["id"]) == sorted(SLIDES)

    def test_every_network_is_exported_and_agrees_with_torch(self, flow):
        from model.checkpoints import load_card
        from model.onnx import OnnxNetwork

        assert flow.export_net.code == 0
        printed = "\n".join(flow.export_net.lines)  # by libraries as well
        for fold in range(2):
            path = flow.run / "weights" / "onnx" / f"fold{fold}.onnx"
            distances = re.findall(re.escape(str(path)) + r": probabilities within (\S+) of torch's", printed)
            assert len(distances) == 1, printed
            assert float(distances[0]) < 1e-4
            assert OnnxNetwork(path).card == load_card(flow.run / "weights" / f"fold{fold}.safetensors")

    def test_onnx_weights_give_the_masks_of_torch(self, flow, tmp_path):
        changes = {"MODEL_WEIGHTS_FOLDER": flow.run / "weights" / "onnx", "OUTPUT_DIR": tmp_path}
        done = call("test_net", options_for(flow.root) | {f"TEST.{name}": value for name, value in changes.items()})
        assert done.lines[-2:] == flow.test_net.lines[-2:]
        for name in SLIDES:
            maps = [folder / "probabilities" / f"{name}.zarr" for folder in (flow.results, tmp_path)]
            one, other = (zarr.open_array(path, mode="r")[:].astype(int) for path in maps)
            assert np.abs(one - other).max() <= 1  # a probability within 1e-4 may round to the next of 255
            masks = [tifffile.imread(folder / "masks" / f"{name}.tiff") for folder in (flow.results, tmp_path)]
            assert np.mean(masks[0] != masks[1]) < 1e-4

    def test_prediction_with_torch_imports_no_fastai(self, flow, tmp_path):
        code, packages = predict_apart(options_for(flow.root) | {"TEST.OUTPUT_DIR": tmp_path})
        assert code == 1
        assert "torch" in packages
        assert not packages & {"fastai", "albumentations", "onnxruntime"}

    def test_equal_seeds_give_equal_bytes(self, flow):
        options = options_for(flow.root) | {"SOLVER.FOLDS": "[0]", "SOLVER.EPOCHS": 1, "RUN_NAME": "again"}
        weights = flow.root / "runs" / "again" / "weights" / "fold0.safetensors"
        contents = []
        for workers in (0, 1, 2):
            contents.append(call("train_net", options | {"SOLVER.NUM_WORKERS": workers}) and weights.read_bytes())
            (flow.root / "runs" / "again").rename(flow.root / "runs" / f"again{workers}")
        assert contents[0] == contents[1] == contents[2]


def save_pairs(folder, count=4):
    """Grey frames of two groups, with masks of two classes (20 and 30) and a black border to be cropped."""
    for number in range(count):
        place = folder / f"video{number % 2}"
        image, mask = draw((120, 150), [(40 + 3 * number, 50, 18)], seed=number)
        other = draw((120, 150), [(80, 105, 15)], seed=number)[1]
        grey = np.where(other == 1, 30, image.mean(-1)).astype(np.uint8)
        for kind, pixels in (("frames", grey), ("truth", mask * 20 + other * 30)):
            (place / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.pad(pixels, 10)).save(place / kind / f"f{number}.png")


@pytest.mark.slow
def test_grey_pairs_of_two_classes_with_a_crop_train_and_are_predicted_by_config_alone(tmp_path):
    save_pairs(tmp_path / "slides")
    pairs = {"LAYOUT": "pairs", "IMAGES": "{group}/frames/{name}.png", "MASKS": "{group}/truth/{name}.png",
             "CLASSES": "['a', 'b']", "MASK_VALUES": "[[20], [30]]", "CROP": "[10, 10, 120, 150]",
             "FOLD_GROUPS": "[['video0'], ['video1']]"}  # fmt: skip
    options = options_for(tmp_path) | {f"DATASETS.{name}": value for name, value in pairs.items()}
    options |= {"MODEL.IN_CHANNELS": 1, "TILES.REDUCTION": 1, "TEST.LABELS_CSV": "", "SOLVER.FOLDS": "[1]"}
    options |= {"SOLVER.FIND_LR": True, "SOLVER.EPOCHS": 2, "SOLVER.BATCH_SIZE": 2}
    trained = call("train_net", options)
    assert trained.code == 0
    assert re.fullmatch(r"out-of-fold Dice \d\.\d{3} at threshold \d\.\d{2}", trained.lines[-1])
    run = tmp_path / "runs" / "run"
    assert read_csv(run / "folds.csv").groupby("group")["fold"].nunique().tolist() == [1, 1]
    assert (run / "lr_finder_fold1.png").is_file()
    predicted = call("test_net", options)
    assert predicted.code == 0
    assert predicted.lines[-1] == "failed 0 of 4 cases"
    table = read_csv(tmp_path / "results" / "output.csv")
    assert list(table) == ["id", "class", "predicted"]
    mask = tifffile.imread(tmp_path / "results" / "masks" / "video0_f0.tiff")
    assert mask.shape == (140, 170)
    features = json.loads((tmp_path / "results" / "geojson" / "video0_f0.geojson").read_text())["features"]
    shapes = [(each["geometry"], " ab".index(each["properties"]["classification"]["name"])) for each in features]
    np.testing.assert_array_equal(rasterize(shapes, mask.shape) if shapes else mask * 0, mask)
    rows = table[table["id"] == "video0_f0"]
    for number, text in enumerate(rows["predicted"], start=1):
        np.testing.assert_array_equal(decode(text, mask.shape), mask == number)
    assert not mask[:10].any()
    assert (tmp_path / "results" / "triptychs" / "video0_f0.png").is_file()
