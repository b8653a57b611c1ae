"""What a run says of its training: pictures in its report, and its best epochs."""

from pathlib import Path

from utils.report import Pictures
from utils.tables import read_table


def training_pictures(run: Path) -> list[Pictures]:
    """What the report shows of the training: the plots that a run has, and samples of each fold."""
    plots = [("Loss and Dice by epoch", run / "history.png"), ("Dice against threshold", run / "dice_threshold.png")]
    samples = [(path.stem.replace("_", " "), path) for path in sorted(run.glob("samples_fold*.png"))]
    return [Pictures("Training", plots), Pictures("Validation patches", samples)]


def best_epochs(history: Path) -> list[str]:
    """A line for each fold of a history.csv: its best validation Dice and the epoch, the first of equals."""
    rows = read_table(history, ["fold", "epoch", "valid_dice"]).to_dict("records")
    lines = []
    for fold in sorted({int(row["fold"]) for row in rows}):
        own = [row for row in rows if int(row["fold"]) == fold]
        best = max(own, key=lambda row: float(row["valid_dice"]))
        lines.append(
            f"best mean Dice over cases {float(best['valid_dice']):.4f} in epoch {best['epoch']} of fold {fold}"
        )
    return lines
