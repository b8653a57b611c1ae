"""Checkpoints -> ONNX files, each compared with torch."""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from config import config_mistakes, parse_args, read_cfg
from config.check import check_cfg
from config.run import print_result, script


@script
def main(argv: Sequence[str]) -> int:
    """Export every network of TEST.MODEL_WEIGHTS_FOLDER into its folder `onnx`; returns the exit code."""
    args = parse_args(argv, "Export the networks of a weights folder to ONNX and compare them with torch.")
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["TEST.MODEL_WEIGHTS_FOLDER", *["TEST.EXPORT_FOLDER"] * bool(cfg.TEST.EXPORT_FOLDER)], mistakes)
    from model.export import export_onnx
    from model.predictor import load_module, weight_files

    folder = Path(cfg.TEST.MODEL_WEIGHTS_FOLDER)
    with config_mistakes():
        for path in weight_files(folder, "torch"):
            target = folder / "onnx" / f"{path.stem}.onnx"
            distance = export_onnx(*load_module(cfg, path), target)
            print_result(f"{target}: probabilities within {distance:.1e} of torch's")
            if cfg.TEST.EXPORT_FOLDER:
                compare_on_pictures(cfg, path, target)
    return 0


def compare_on_pictures(cfg: CfgNode, torch_file: Path, onnx_file: Path) -> None:
    """Compare a network and its ONNX file on the pictures of TEST.EXPORT_FOLDER, cut as prediction cuts them.

    Raises ValueError where they disagree, and then removes the ONNX file.
    """
    from apps.pictures import list_pictures
    from apps.segmenter import build_plain_segmenter
    from model.export import CLOSE
    from model.predictor import load_member

    one, other = load_member(cfg, torch_file), load_member(cfg, onnx_file)
    distances = []

    def compare(patches: np.ndarray) -> np.ndarray:
        found = one.network(patches)
        distances.append(float(np.abs(found - other.network(patches)).max()))
        return found

    pictures = list_pictures(Path(cfg.TEST.EXPORT_FOLDER))
    segmenter = replace(build_plain_segmenter(cfg, one), predictor=compare)
    for picture in pictures:
        segmenter(picture).close()
    largest = max(distances, default=math.nan)
    if not largest < CLOSE:
        onnx_file.unlink()
        raise ValueError(f"{onnx_file.name}: probabilities of {len(pictures)} pictures are {largest:.2g} from torch's")
    print_result(f"{onnx_file}: within {largest:.1e} on {len(pictures)} pictures, {len(distances)} batches")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
