"""A window that segments pictures: python -m apps.desktop -m weights."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from config import ConfigError
from config.run import script, start_log


@script
def main(argv: Sequence[str]) -> int:
    """Show the window until it is closed; returns the exit code."""
    args = parse_args(argv)
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        install = "pip install --requirement requirements-desktop.txt --constraint constraints.txt"
        raise ConfigError([f"the window needs PySide6, which does not load here ({error}): {install}"]) from error
    from apps.segmenter import load_app_cfg
    from apps.window import Window

    if args.model:
        load_app_cfg(args.model, args.threshold, args.config_file, args.options)  # tells mistakes before a window opens
    start_log()
    app = QApplication.instance() or QApplication(sys.argv[:1])
    window = Window(lambda model: load_app_cfg(model, args.threshold, args.config_file, args.options))
    window.show()
    if args.model:
        window.load(args.model)
    window.add_pictures(args.pictures)
    return app.exec()


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Segment pictures in a window.")
    parser.add_argument("-m", "--model", type=Path, help="weights: a file, or a folder to average")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], metavar="FILE", help="pictures to begin with")
    parser.add_argument(
        "--threshold", type=float, default=0.0, help="threshold to begin with, in place of the tuned one"
    )
    parser.add_argument("--config-file", default="", metavar="YAML", help="options that differ from config/defaults.py")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the file's")
    return parser.parse_intermixed_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
