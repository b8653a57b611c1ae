"""Which run goes on: found by name or as the newest unfinished one, and only with the config that it began with."""

from pathlib import Path

from yacs.config import CfgNode

from config.load import ConfigError, all_keys, read_cfg
from config.lock import NAME, lock
from config.run import run_name

STATES = "training_state"  # folder in a run that is there from its first checkpoint until its end
MAY_DIFFER = {  # what changes neither weights nor results
    "OUTPUT_DIR",
    "RUN_NAME",
    "DATASETS.HASHES",
    "SOLVER.NUM_WORKERS",
    "SOLVER.CACHE",
    "SOLVER.CACHE_GB",
    "SOLVER.CHECKPOINT_MINUTES",
    "SOLVER.FIND_LR",
    "SOLVER.SAMPLES_EVERY",
    "SOLVER.LOGGERS",
    "TEST.WSI_FOLDER",
    "TEST.LABELS_CSV",
    "TEST.SPLIT",
    "TEST.MODEL_WEIGHTS_FOLDER",
    "TEST.OUTPUT_DIR",
    "TEST.TH",
    "SERVE",  # the whole group
}


def choose_run(cfg: CfgNode, resume: str) -> tuple[Path, bool]:
    """Folder of the run, and whether it goes on from a checkpoint; `resume` is '', 'always' or 'auto'.

    Raises ConfigError where the run cannot go on, or would overwrite another.
    """
    unfinished = find_unfinished(cfg)
    if resume and unfinished:
        check_same(cfg, unfinished)
        return unfinished, True
    folder = Path(cfg.OUTPUT_DIR) / run_name(cfg)
    if (folder / NAME).exists():
        with lock(folder):
            pass  # a run that is at work still is another mistake than one that ended
    if (folder / "weights").exists() or (folder / STATES).exists():
        advice = "choose another name or remove it" + "; --resume goes on with it" * (folder / STATES).exists()
        raise ConfigError([f"RUN_NAME: {folder} holds a trained run; {advice}"])
    if resume == "always":
        place = folder if cfg.RUN_NAME else cfg.OUTPUT_DIR
        raise ConfigError(
            [f"--resume: there is no checkpoint in {place}; --resume auto starts anew where there is none"]
        )
    return folder, False


def find_unfinished(cfg: CfgNode) -> Path | None:
    """The run of RUN_NAME, or the newest one of OUTPUT_DIR, if it has a checkpoint and did not come to its end."""
    root = Path(cfg.OUTPUT_DIR)
    states = [root / cfg.RUN_NAME / STATES] if cfg.RUN_NAME else root.glob(f"*/{STATES}")
    there = sorted((state for state in states if state.is_dir()), key=lambda state: state.stat().st_mtime_ns)
    return there[-1].parent if there else None


def check_same(cfg: CfgNode, folder: Path) -> None:
    """Raise ConfigError naming the options that are not what the run in `folder` began with."""
    began, mistakes = read_cfg(str(folder / "config.yaml"))
    before = dict(all_keys(began))
    mistakes += [
        f"{key} is {value!r}, but the checkpoint in {folder} was made with {before[key]!r}; "
        "go on with that, or start a run of another RUN_NAME"
        for key, value in all_keys(cfg)
        if value != before[key] and not {key, key.split(".")[0]} & MAY_DIFFER
    ]
    if mistakes:
        raise ConfigError(mistakes)
