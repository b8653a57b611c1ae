"""The same draw of augmentation in the same epoch, whatever the number of workers."""

from fastai.callback.core import Callback


class EpochSeed(Callback):
    """Tells the training set which epoch it is drawn for."""

    def before_epoch(self) -> None:
        """Pass the epoch on before the workers start."""
        self.dls.train.dataset.epoch = self.epoch
