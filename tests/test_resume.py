"""Training that is killed and goes on, from the outside."""

import hashlib
import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from config.lock import lock
from model.training_state import load_state

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 3
FORK = multiprocessing.get_context("forkserver")  # one import of torch for all the processes that are to be killed
FORK.set_forkserver_preload(["tests.trainer"])


def save_pairs(folder, count=8):
    """Noise with a bright disc each, in two groups, and the discs' masks."""
    rows, columns = np.indices((64, 64))
    for number in range(count):
        draw = np.random.default_rng(number)
        disc = np.hypot(rows - draw.integers(16, 48), columns - draw.integers(16, 48)) < 14
        image = draw.integers(0, 90, (64, 64, 3)) + 120 * disc[..., None]
        for kind, pixels in (("images", image), ("masks", disc)):
            (folder / f"g{number % 2}" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"g{number % 2}" / kind / f"{number}.png")


def words(root, name, *more, **options):
    """The command line of a tiny run of two folds."""
    defaults = {
        "OUTPUT_DIR": root / "runs",
        "RUN_NAME": name,
        "DATASETS.LAYOUT": "pairs",
        "DATASETS.WSI_FOLDER": root / "pairs",
        "DATASETS.IMAGES": "{group}/images/{name}.png",
        "DATASETS.MASKS": "{group}/masks/{name}.png",
        "TILES.REDUCTION": 1,
        "INPUT.SIZE_TRAIN": 32,
        "MODEL.ARCHITECTURE": "FPN",
        "MODEL.ENCODER_NAME": "tu-mobilenetv3_small_050",
        "MODEL.ENCODER_WEIGHTS": None,
        "SOLVER.N_FOLDS": 2,
        "SOLVER.EPOCHS": EPOCHS,
        "SOLVER.BATCH_SIZE": 4,
        "SOLVER.NUM_WORKERS": 0,
        "SOLVER.CHECKPOINT_MINUTES": 1e-3,
        "TEST.PATCH": 32,
        "TEST.OVERLAP": 0,
        "TEST.OVERLAY_PX": 64,
    }
    changes = {key.replace("__", "."): value for key, value in options.items()}
    return [*more, *(str(word) for pair in (defaults | changes).items() for word in pair)]


def train_apart(*args, **options):
    from tests.trainer import train  # there already in the process that others are forked from

    train(*args, **options)


def call(*args, **options):
    """Exit code of `tests.trainer.train` in a process of its own; minus the signal's number where it was killed."""
    process = FORK.Process(target=train_apart, args=args, kwargs=options)
    process.start()
    process.join(240)
    return process.exitcode


def hashes(run):
    """What a run comes to: the bytes of weights and maps, and the figures that hold no time."""
    found = {}
    for path in sorted(run.rglob("*")):
        inside = path.relative_to(run)
        if (
            inside.parts[0] in ("weights", "last_epoch", "probabilities", "overlays", "scores.csv", "folds.csv")
            and path.is_file()
        ):
            found[inside.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [line.rsplit(",", 1)[0] for line in (run / "history.csv").read_text().splitlines()]
    return found | {"history.csv": rows}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with pairs and a run that was never stopped."""
    root = tmp_path_factory.mktemp("resume")
    save_pairs(root / "pairs")
    assert call(words(root, "whole"), root / "log.txt") == 0, (root / "log.txt").read_text()
    return root


@pytest.mark.slow
def test_a_run_killed_at_ten_moments_ends_with_the_same_bytes(whole):
    chance = random.Random(20)
    codes = []
    for kill in range(10):
        workers, resume = kill % 3, ["--resume"] * (kill > 0)
        argv = words(whole, "killed", *resume, SOLVER__NUM_WORKERS=workers)
        batch, seconds = chance.randint(1, 9), chance.choice([0, 0.01, 0.03, 0.1, 0.3])
        codes.append(call(argv, whole / "killed.txt", batch, seconds))
    codes.append(call(words(whole, "killed", "--resume"), whole / "killed.txt"))
    text = (whole / "killed.txt").read_text()
    assert codes == [-signal.SIGKILL] * 10 + [0], text
    assert text.count("going on in epoch") >= 8
    assert hashes(whole / "runs" / "killed") == hashes(whole / "runs" / "whole")
    assert not (whole / "runs" / "killed" / "training_state").exists()
    drafts = [path for path in (whole / "runs" / "killed").rglob(".*-*") if path.is_dir()]
    assert drafts == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_training_in_time_with_its_code_and_a_checkpoint(whole, number):
    name = f"stopped{number}"
    argv, log = words(whole, name, SOLVER__NUM_WORKERS=2, SOLVER__CHECKPOINT_MINUTES=0), whole / f"{name}.txt"
    assert call(argv, log, 7, number=number) == 128 + number, log.read_text()
    assert time.time() - float(log.with_suffix(".at").read_text()) < 10
    assert "the same command with --resume goes on from here" in log.read_text()
    assert "Traceback" not in log.read_text()
    state = load_state(whole / "runs" / name / "training_state" / "fold0.safetensors")
    assert (state["epoch"], state["batch"]) in [(0, 4), (1, 0)]  # the seventh batch is one of validation
    if number == signal.SIGTERM:
        assert call([*argv, "--resume"], log) == 0, log.read_text()
        assert hashes(whole / "runs" / name) == hashes(whole / "runs" / "whole")


@pytest.mark.slow
def test_a_killed_process_that_loads_is_told_and_training_can_go_on(whole):
    argv, log = words(whole, "orphan", SOLVER__NUM_WORKERS=1, SOLVER__FOLDS=[0]), whole / "orphan.txt"
    assert call(argv, log, 2, kill_loader=True) == 1
    assert "CRITICAL a process that loads patches was killed" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert call([*argv, "--resume"], log) == 0, log.read_text()


@pytest.mark.slow
def test_two_processes_never_train_in_one_folder(whole):
    argv, log = words(whole, "shared", SOLVER__FOLDS=[0]), whole / "shared.txt"
    assert call(argv, log, 3) == -signal.SIGKILL
    with lock(whole / "runs" / "shared"):
        assert call([*argv, "--resume"], log) == 2
    assert f"error: another process is at work in {whole / 'runs' / 'shared'}" in log.read_text()


@pytest.mark.slow
def test_maps_that_are_whole_are_not_predicted_again(whole):
    run = whole / "runs" / "whole"
    again = whole / "runs" / "maps"
    shutil.copytree(run, again)
    (again / "config.yaml").write_text((run / "config.yaml").read_text().replace("whole", "maps"))
    (again / "training_state").mkdir()
    kept, lost = sorted((again / "probabilities").iterdir())[:2]
    shutil.rmtree(lost)
    before = kept.stat().st_ino
    log = whole / "maps.txt"
    assert call(words(whole, "maps", "--resume"), log) == 0, log.read_text()
    assert "patches to train on" not in log.read_text()
    assert kept.stat().st_ino == before
    assert hashes(again) == hashes(run)


@pytest.mark.slow
def test_a_run_of_drawn_crops_and_mixed_boxes_ends_with_the_same_bytes(whole):
    drawn = {
        "INPUT__FROM": "crops",
        "INPUT__CROP_SCALE": 0.3,
        "AUGMENTATION__SET": "heavy",
        "AUGMENTATION__CUTMIX": 0.5,
        "SOLVER__SAMPLING": "object_size",
        "SOLVER__EPOCH_PATCHES": 13,
    }
    log = whole / "drawn.txt"
    assert call(words(whole, "drawn", **drawn), log) == 0, log.read_text()
    for resume, batch, workers in ([], 5, 0), (["--resume"], 6, 2):
        argv = words(whole, "drawn_killed", *resume, SOLVER__NUM_WORKERS=workers, **drawn)
        assert call(argv, log, batch, 0.02) == -signal.SIGKILL, log.read_text()
    assert call(words(whole, "drawn_killed", "--resume", **drawn), log) == 0, log.read_text()
    assert hashes(whole / "runs" / "drawn_killed") == hashes(whole / "runs" / "drawn")
    assert hashes(whole / "runs" / "drawn") != hashes(whole / "runs" / "whole")
