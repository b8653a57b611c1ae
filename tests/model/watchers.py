"""What tests see of a training from inside."""

from fastai.callback.core import Callback


class Watcher(Callback):
    """Notes what `look` finds in the learner after each step, after the training part of an epoch and after epochs."""

    order = 99

    def __init__(self, look):
        self.look = look
        self.after_steps, self.after_trains, self.after_epochs, self.after_batches = [], [], [], []

    def after_step(self):
        self.after_steps.append(self.look(self.learn))

    def after_batch(self):
        if self.training:
            self.after_batches.append(self.look(self.learn))

    def after_train(self):
        self.after_trains.append(self.look(self.learn))

    def after_epoch(self):
        self.after_epochs.append(self.look(self.learn))
