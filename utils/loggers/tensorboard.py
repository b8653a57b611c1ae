"""TensorBoard: event files in the run folder."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from utils.loggers.logger import Subject

FLUSH_SECONDS = 10  # what a browser may lag behind


class TensorBoardLogger:
    """Writes <run>/tensorboard/<part>, so that the parts of a run share their charts."""

    def __init__(self, subject: Subject):
        self.writer = SummaryWriter(str(subject.run / "tensorboard" / subject.part), flush_secs=FLUSH_SECONDS)
        self.writer.add_text("config", "\n".join(f"    {line}" for line in subject.config.splitlines()))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures by name, after so many training steps."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a PNG file."""
        with Image.open(path) as image:
            self.writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self, failed: bool) -> None:
        """Write what is left; TensorBoard knows no failure."""
        self.writer.close()
