"""The first import of fastai."""

import importlib
import warnings


def import_fastai() -> None:
    """Import fastai without the warning of torch that it compiles four activations, unused here, by an old call."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".torch\.jit\.script. is deprecated", category=FutureWarning)
        importlib.import_module("fastai.layers")
