"""Checkpoints -> ONNX files, each compared with torch."""

import sys
from collections.abc import Sequence
from pathlib import Path

from config import config_mistakes, parse_args, read_cfg
from config.check import check_cfg
from config.run import print_result, script


@script
def main(argv: Sequence[str]) -> int:
    """Export every network of TEST.MODEL_WEIGHTS_FOLDER into its folder `onnx`; returns the exit code."""
    args = parse_args(argv, "Export the networks of a weights folder to ONNX and compare them with torch.")
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["TEST.MODEL_WEIGHTS_FOLDER"], mistakes)
    from model.export import export_onnx
    from model.predictor import load_module, weight_files

    folder = Path(cfg.TEST.MODEL_WEIGHTS_FOLDER)
    with config_mistakes():
        for path in weight_files(folder, "torch"):
            target = folder / "onnx" / f"{path.stem}.onnx"
            distance = export_onnx(*load_module(cfg, path), target)
            print_result(f"{target}: probabilities within {distance:.1e} of torch's")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
