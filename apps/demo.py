"""The whole job on generated slides - tiles, training, masks, report - run by `make demo`."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

import test_net
import tiles_creator
import train_net
from config import load_cfg, parse_args
from config.run import print_result, script
from data.synthetic import write_demo_slides
from utils.tables import write_table

CONFIG = "config/experiments/demo.yaml"
HELD_OUT = {"demo05", "demo08"}  # one of odd size, one planar 5-D
Script = Callable[[Sequence[str]], int]


@script
def main(argv: Sequence[str]) -> int:
    """Make the slides, cut, train, predict the held-out ones; the last lines are their Dice and the report's path."""
    args = parse_args(argv, "Draw slides, cut them, train a small network and predict two slides that it never saw.")
    config_file = args.config_file or CONFIG
    cfg = load_cfg(config_file, args.options)
    slides = Path(cfg.DATASETS.WSI_FOLDER)
    make_slides(slides)
    run = Path(cfg.OUTPUT_DIR) / "demo"
    shutil.rmtree(run, ignore_errors=True)
    steps: list[tuple[Script, list[str]]] = [
        (tiles_creator.main, []),
        (train_net.main, ["RUN_NAME", run.name]),
        (test_net.main, ["TEST.MODEL_WEIGHTS_FOLDER", str(run / "weights")]),
    ]
    for step, options in steps:
        code = step(["--config-file", config_file, *args.options, *options])
        if code:
            return code
    results = Path(cfg.TEST.OUTPUT_DIR)
    print_result(f"Dice {pooled_dice(results / 'scores.csv'):.2f}")
    print_result(str(results / "report.html"))
    return 0


def make_slides(folder: Path) -> None:
    """Draw eight labelled slides of kidney-like tissue, two of them held out, unless they are there already."""
    table = folder / "ids.csv"
    if table.exists():
        return
    print_result("drawing eight slides")
    ids = [path.stem for path in write_demo_slides(folder)]
    rows = [{"id": slide, "split": "test" if slide in HELD_OUT else "train"} for slide in ids]
    write_table(table, rows, ["id", "split"])


def pooled_dice(scores: Path) -> float:
    """Dice pooled over the cases of scores.csv."""
    table = pd.read_csv(scores)
    return float(table.loc[table["id"] == "(pooled)", "dice"].iloc[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
