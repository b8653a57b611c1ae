"""A progress bar on a terminal; in a log the line of each epoch is enough."""

import sys

from fastai.callback.core import Callback
from tqdm import tqdm

from utils.ranks import is_writer


class ProgressBar(Callback):
    """Shows the steps of an epoch and the time that is left of it."""

    def before_epoch(self) -> None:
        """Open the bar of an epoch."""
        steps = len(self.dls.train) + len(self.dls.valid)
        hidden = not (sys.stderr.isatty() and is_writer())
        title, begun = f"epoch {self.epoch + 1}", getattr(self.dls.train, "first_batch", 0)
        self.bar = tqdm(total=steps, desc=title, initial=begun, leave=False, disable=hidden, dynamic_ncols=True)

    def after_batch(self) -> None:
        """Move on by a step."""
        self.bar.update()

    def after_epoch(self) -> None:
        """Close the bar."""
        self.bar.close()

    def after_fit(self) -> None:
        """Close the bar of an epoch that did not end."""
        if hasattr(self, "bar"):
            self.bar.close()
