"""What happens beside the training loop, a few lines each."""

from model.callbacks.bar import ProgressBar
from model.callbacks.dice import PooledDice
from model.callbacks.history import History
from model.callbacks.keep import KeepBest
from model.callbacks.repeatable import EpochSeed, StepSeed
from model.callbacks.resume import Resume
from model.callbacks.stop import EarlyStop, StopAtNaN
from model.callbacks.watch import DrawHistory, DrawSamples, LogFigures

__all__ = [
    "DrawHistory",
    "DrawSamples",
    "EarlyStop",
    "EpochSeed",
    "History",
    "KeepBest",
    "LogFigures",
    "PooledDice",
    "ProgressBar",
    "Resume",
    "StepSeed",
    "StopAtNaN",
]
