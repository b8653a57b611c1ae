"""Segments pictures on the command line: python -m apps.segment -m weights -ii picture.jpg -oi overlay.png."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apps.pictures import OVERLAY_ENDINGS, Outputs, list_pictures, name_outputs, same_place
from config import ConfigError
from config.run import exit_code, print_result, script, start_log

if TYPE_CHECKING:
    from apps.segmenter import Segmenter

Job = tuple[Path, Outputs]


@script
def main(argv: Sequence[str]) -> int:
    """Write overlay and mask of one picture or of all in a folder, each at its own size; returns the exit code."""
    args = parse_args(argv)
    mistakes = list(find_mistakes(args))
    if mistakes:
        raise ConfigError(mistakes)
    from apps.segmenter import build_segmenter, load_app_cfg

    cfg = load_app_cfg(args.model, args.threshold, args.config_file, args.options)
    start_log()
    segmenter = build_segmenter(cfg)
    jobs = list_jobs(args)
    return segment(segmenter, jobs, args.output_dir)


def segment(segmenter: "Segmenter", jobs: Sequence[Job], folder: Path | None) -> int:
    """Predict one picture after the other; one that cannot be read is named and the others go on."""
    from apps.pictures import write_outputs
    from utils.failures import Failures
    from utils.progress import track

    failures = Failures()
    for path, outputs in track(jobs, "pictures", len(jobs)):
        with failures.guard(path.name, path.name), segmenter(path, track if len(jobs) == 1 else None) as found:
            write_outputs(outputs, found)
    if folder:
        failures.write(folder / "failures.csv")
    place = folder or jobs[0][1].overlay
    print_result(f"{len(jobs) - len(failures.ids)} of {len(jobs)} pictures in {place}, {len(failures.ids)} failed")
    return exit_code(failures.ids)


def list_jobs(args: argparse.Namespace) -> list[Job]:
    """Each picture with the place of its results; raises ConfigError where a folder holds none."""
    if args.input_image:
        args.output_image.parent.mkdir(parents=True, exist_ok=True)
        return [(args.input_image, Outputs(args.output_image))]
    pictures = list_pictures(args.input_dir)
    if not pictures:
        raise ConfigError([f"-id: {args.input_dir} holds no picture"])
    args.output_dir.mkdir(parents=True, exist_ok=True)
    return list(zip(pictures, name_outputs(pictures, args.output_dir), strict=True))


def find_mistakes(args: argparse.Namespace) -> Iterator[str]:
    """What is wrong with the places that the command line names."""
    image, folder = (args.input_image, args.output_image), (args.input_dir, args.output_dir)
    given = [all(image), all(folder), any(image) and any(folder)]
    if given not in ([True, False, False], [False, True, False]):
        yield "give either one picture (-ii and -oi) or a folder (-id and -od)"
        return
    source, target = image if all(image) else folder
    if all(image) and not source.is_file():
        yield f"-ii: {str(source)!r} is no file"
    if all(folder) and not source.is_dir():
        yield f"-id: {str(source)!r} is no folder"
    if all(image) and target.suffix.lower() not in OVERLAY_ENDINGS:
        yield f"-oi: {str(target)!r} must end in one of {list(OVERLAY_ENDINGS)}"
    if same_place(source, target) or (all(image) and same_place(source, Outputs(target).mask)):
        yield f"{str(source)!r} would be overwritten; choose another place for the results"


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Segment one picture or all pictures of a folder.")
    parser.add_argument("-m", "--model", type=Path, required=True, help="weights: a file, or a folder to average")
    parser.add_argument("-ii", "--input-image", type=Path, metavar="FILE", help="picture: jpg, png, bmp, tif or DICOM")
    parser.add_argument("-oi", "--output-image", type=Path, metavar="FILE", help="overlay; the mask is written beside")
    parser.add_argument("-id", "--input-dir", type=Path, metavar="FOLDER", help="folder of pictures")
    parser.add_argument("-od", "--output-dir", type=Path, metavar="FOLDER", help="folder of their overlays and masks")
    parser.add_argument("--threshold", type=float, default=0.0, help="probability from which a pixel is foreground")
    parser.add_argument("--config-file", default="", metavar="YAML", help="options that differ from config/defaults.py")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the file's")
    return parser.parse_intermixed_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
