"""Pictures of a training in the report of its run."""

from pathlib import Path

from utils.report import Pictures


def training_pictures(run: Path) -> list[Pictures]:
    """What the report shows of the training: the plots that a run has, and samples of each fold."""
    plots = [("Loss and Dice by epoch", run / "history.png"), ("Dice against threshold", run / "dice_threshold.png")]
    samples = [(path.stem.replace("_", " "), path) for path in sorted(run.glob("samples_fold*.png"))]
    return [Pictures("Training", plots), Pictures("Validation patches", samples)]
