"""Every mistake of a config at once, before anything slow begins."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from config.augmentation import AUGMENTATION_SETS
from config.load import ConfigError
from config.networks import NORMS, VOLUME_NETWORKS, network_mistakes
from config.volume_patches import CROPS_OF_VOLUMES, patch_mistakes
from config.volumes import volume_mistakes
from config.windows import window_mistakes

CHOICES: dict[str, list[Any]] = {
    "MODEL.ARCHITECTURE": [
        *["UneXt", "UneXt101", "UneXt50", "UneXt18"],
        *["Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN"],
        *["UPerNet", "Segformer", "DPT"],
        *VOLUME_NETWORKS,
        "BrainUnet",
    ],
    "MODEL.ACTIVATION": ["sigmoid", "softmax", "None"],
    "MODEL.NORM": ["", *NORMS],
    "DATASETS.LAYOUT": ["slides", "pairs", "roboflow", "decathlon", "series", "kaggle_3m"],
    "DATASETS.CROP_TO": ["", "body"],
    "TILES.TISSUE": ["saturation", "otsu"],
    "INPUT.INTENSITY": ["", "window", "range", "percentiles"],
    "INPUT.FROM": ["tiles", "crops", "whole", "slices"],
    "SOLVER.SAMPLING": ["all", "foreground", "object_size", "area", "slices", *CROPS_OF_VOLUMES],
    "AUGMENTATION.SET": ["", *AUGMENTATION_SETS],
    "AUGMENTATION.STAINS": ["he", "pas"],
    "SOLVER.PSEUDO": ["hard", "soft"],
    "SOLVER.CACHE": ["none", "memory", "disk"],
    "SOLVER.KEEP": ["best", "last"],
    "SOLVER.DICE_OVER": ["pixels", "cases"],
    "SOLVER.SCHEDULE": ["one_cycle", "cosine", "plateau", "constant"],
    "TEST.ENGINE": ["auto", "torch", "bf16", "fp16", "compile", "onnx", "openvino"],
    "TEST.BLEND": ["linear", "gaussian"],
    "TEST.TTA": ["none", "flips", "dihedral"],
    "TEST.OBJECT_TYPE": ["annotation", "detection"],
    "SOLVER.OPTIMIZER": ["adamw", "adam", "sgd"],
    "SOLVER.LOSS_FUNCTION_NAME": [
        "bce",
        "bce_dice",
        "bce_lovasz",
        "boundary_bce",
        "dice_ce",
        "dice_coef_loss",
        "loss_focal_corrected",
        "loss_sym_lovasz_focal_corrected",
        "sym_lovasz_dice",
        "sym_lovasz_focal_dice",
        "symmetric_lovasz",
        "tversky",
    ],
}
SOFT_LOSSES = ["bce", "bce_dice", "dice_coef_loss", "loss_focal_corrected", "tversky"]  # of targets from 0 to 1, too
CHOICES_OF_LISTS = {
    "SOLVER.TUNE": ["classes", "low", "objects", "holes"],
    "SOLVER.LOGGERS": ["tensorboard", "wandb", "mlflow"],
    "TEST.WRITE": ["tiff", "rle", "ome", "preview", "geojson", "objects", "nifti", "gif", "slices"],
}
# layouts whose cases have splits without DATASETS.ID_CSV
WITH_SPLITS = ["roboflow", "decathlon", "series", "kaggle_3m"]
WITH_INNER_MASKS = ["UneXt", "UneXt101", "UneXt50", "UneXt18", "Unet", "UnetPlusPlus", "MAnet", "Linknet"]
WITH_INNER_MASKS += ["monai-DynUNet"]
AT_LEAST_ONE = [
    "INPUT.SIZE_TRAIN",
    "INPUT.PATCHES_PER_CASE",
    "TEST.PATCH",
    "SOLVER.EPOCHS",
    "SOLVER.BATCH_SIZE",
    "SOLVER.ACCUMULATE",
    "SOLVER.CYCLES",
    "SOLVER.PLATEAU_PATIENCE",
    "TEST.BATCH_SIZE",
    "MODEL.IN_CHANNELS",
    "TILES.TISSUE_PX",
    "TEST.OVERLAY_PX",
    "SERVE.QUEUE",
]
NOT_NEGATIVE = [
    "INPUT.DIFFUSION",
    "DATASETS.VALID_CASES",
    "INPUT.HEAD_PX",
    "INPUT.CROP_SCALE",
    "TILES.OVERLAP",
    "TEST.OVERLAP",
    "TILES.SPACING_UM",
    "TILES.TISSUE_MIN_PIECE_UM2",
    "TILES.TISSUE_MAX_HOLE_UM2",
    "DATASETS.SPACING_UM",
    "TEST.MIN_OBJECT",
    "TEST.MAX_HOLE",
    "TEST.SIMPLIFY",
    "TEST.SURFACE_TOLERANCE_UM",
    "SOLVER.PATIENCE",
    "SOLVER.EPOCH_PATCHES",
    "SOLVER.CACHE_GB",
    "SOLVER.SAMPLES_EVERY",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.FREEZE_EPOCHS",
    "SOLVER.CLIP",
    "SOLVER.DEEP_SUPERVISION",
    "MODEL.ANY_HEAD",
    "MODEL.RES_UNITS",
    "SOLVER.SWA_EPOCHS",
    "SOLVER.CHECKPOINT_MINUTES",
]
POSITIVE = [
    "TILES.REDUCTION",
    "INPUT.DIFFUSION_KAPPA",
    "SOLVER.LR",
    "SOLVER.ENCODER_LR_FACTOR",
    "SOLVER.PLATEAU_FACTOR",
    "SOLVER.POS_WEIGHT",
    "SERVE.MEGAPIXELS",
    "SERVE.MEGABYTES",
    "SERVE.UPLOAD_SECONDS",
]
FRACTIONS = [
    "SOLVER.SAMPLING_SHARE",
    "DATASETS.SPLIT_SHARE",
    "INPUT.POSITIVE_SHARE",
    "SOLVER.PSEUDO_SHARE",
    "SOLVER.PSEUDO_MARGIN",
    "TILES.MIN_TISSUE",
    "TEST.TH",
    "TEST.TH_LOW",
    "AUGMENTATION.AFFINE_SHIFT",
    "AUGMENTATION.AFFINE_SCALE",
] + [
    f"AUGMENTATION.{name}"
    for name in [
        "FLIP",
        "ROTATE90",
        "AFFINE",
        "PERSPECTIVE",
        "DISTORTION",
        "NOISE",
        "BLUR",
        "HSV",
        "CLAHE",
        "BRIGHTNESS",
        "GAMMA",
        "STAIN",
        "STAIN_STRENGTH",
        "CUTMIX",
    ]
]
LABEL_FILES = ["DATASETS.LABELS_COCO", "DATASETS.LABELS_FOLDER"]  # take the place of DATASETS.LABELS_CSV
LABEL_MEANINGS = ["background", "ignore", "drop"]  # what a name in a label file may stand for besides a class
LARGEST_STEPS = {2: 1 / 6, 3: 3 / 44}  # of a diffusion, by axes: 1 over the sum of 1 / distance^2 of all neighbours
UP_TO = {  # of whole numbers from 0; numpy's seeds have 32 bits, also with the number of a fold added
    "SEED": 2**31 - 1,
    "SERVE.PORT": 2**16 - 1,
    "TILES.TISSUE_SATURATION": 255,
}
MOST_CLASSES = 254  # a class index is a byte; 0 is background, 255 is ignored


def check_cfg(cfg: CfgNode, paths: Sequence[str] = (), known: Sequence[str] = ()) -> None:
    """Raise ConfigError naming every option that cannot work, after the mistakes `known` from reading the config.

    `paths` are the options that must name existing paths.
    """
    mistakes = [
        *known,
        *_values(cfg),
        *_sizes(cfg),
        *volume_mistakes(cfg),
        *window_mistakes(cfg),
        *_labels(cfg),
        *_label_names(cfg),
        *_lists(cfg),
        *_training(cfg),
        *patch_mistakes(cfg),
        *network_mistakes(cfg),
        *_missing(cfg, paths),
    ]
    if mistakes:
        raise ConfigError(mistakes)


def label_options(cfg: CfgNode) -> list[str]:
    """The options that name the labels of slides to learn from; pairs find theirs by pattern or in a COCO file."""
    if cfg.DATASETS.LAYOUT != "slides":
        return ["DATASETS.LABELS_COCO"] * bool(cfg.DATASETS.LABELS_COCO)
    return [key for key in LABEL_FILES if get(cfg, key)] or ["DATASETS.LABELS_CSV"]


def pseudo_options(cfg: CfgNode) -> list[str]:
    """The options that name unlabelled images and their pseudo-labels, if these are learnt from."""
    return ["DATASETS.UNLABELLED_FOLDER", "DATASETS.PSEUDO_LABELS"] * bool(cfg.DATASETS.PSEUDO_LABELS)


def learns_from_tiles(cfg: CfgNode) -> bool:
    """Whether training needs the tiles of tiles_creator.py."""
    return cfg.DATASETS.LAYOUT == "slides" and cfg.INPUT.FROM == "tiles" and cfg.MODEL.AXES == 2


def get(cfg: CfgNode, key: str) -> Any:
    """The value of a dotted key."""
    value = cfg
    for name in key.split("."):
        value = value[name]
    return value


def _values(cfg: CfgNode) -> Iterator[str]:
    for key, choices in CHOICES.items():
        if get(cfg, key) not in choices:
            yield f"{key} is {get(cfg, key)!r}; choose one of {choices}"
    for key, choices in CHOICES_OF_LISTS.items():
        yield from (f"{key} names {each!r}; choose from {choices}" for each in get(cfg, key) if each not in choices)
    rules = [
        (AT_LEAST_ONE, 1, "at least 1"),
        (NOT_NEGATIVE, 0, "at least 0"),
        (["SOLVER.NUM_WORKERS"], -1, "at least -1"),
    ]
    for keys, least, wanted in rules:
        yield from (f"{key} is {get(cfg, key)}; it must be {wanted}" for key in keys if get(cfg, key) < least)
    yield from (f"{key} is {get(cfg, key)}; it must be above 0" for key in POSITIVE if not get(cfg, key) > 0)
    yield from (f"{key} is {get(cfg, key)}; it must lie in 0 to 1" for key in FRACTIONS if not 0 <= get(cfg, key) <= 1)
    yield from (
        f"{key} is {get(cfg, key)}; it must lie in 0 to {most}"
        for key, most in UP_TO.items()
        if not 0 <= get(cfg, key) <= most
    )
    if cfg.SOLVER.N_FOLDS < 2:
        yield f"SOLVER.N_FOLDS is {cfg.SOLVER.N_FOLDS}; it must be at least 2"


def _sizes(cfg: CfgNode) -> Iterator[str]:
    for key in ("INPUT.SIZE_TRAIN", "TEST.PATCH"):
        if get(cfg, key) % 32:
            yield f"{key} is {get(cfg, key)}; it must be a multiple of 32 (networks halve it five times)"
    step, largest = cfg.INPUT.DIFFUSION_STEP, LARGEST_STEPS.get(cfg.MODEL.AXES, 1.0)
    if cfg.INPUT.DIFFUSION and not 0 < step <= largest:
        yield f"INPUT.DIFFUSION_STEP is {step:.3g}; it must be above 0 and at most {largest:.3g}, or waves grow"
    for key, size in (("TILES.OVERLAP", "INPUT.SIZE_TRAIN"), ("TEST.OVERLAP", "TEST.PATCH")):
        if get(cfg, key) >= get(cfg, size):
            yield f"{key} is {get(cfg, key)}; it must be smaller than {size} ({get(cfg, size)})"


def _labels(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATASETS
    if not all(isinstance(name, str) for name in data.CLASSES):
        yield f"DATASETS.CLASSES is {data.CLASSES}; names must be texts"
    elif not data.CLASSES or len(set(data.CLASSES)) < len(data.CLASSES) or len(data.CLASSES) > MOST_CLASSES:
        yield f"DATASETS.CLASSES is {data.CLASSES}; it must name 1 to {MOST_CLASSES} different classes"
    if data.MASK_VALUES and len(data.MASK_VALUES) != len(data.CLASSES):
        yield f"DATASETS.MASK_VALUES has {len(data.MASK_VALUES)} lists for {len(data.CLASSES)} classes"
    if not all(isinstance(each, list) and all(v in range(256) for v in each) for each in data.MASK_VALUES):
        yield f"DATASETS.MASK_VALUES is {data.MASK_VALUES}; it must be lists of values 0 to 255, such as [[10, 20]]"
    if data.MASK_THRESHOLD and (data.MASK_VALUES or len(data.CLASSES) > 1):
        yield "DATASETS.MASK_THRESHOLD makes one class of a mask; leave MASK_VALUES empty and name one class"
    if data.MASK_THRESHOLD not in range(256):
        yield f"DATASETS.MASK_THRESHOLD is {data.MASK_THRESHOLD}; it must lie in 0 to 255"


def _label_names(cfg: CfgNode) -> Iterator[str]:
    data, pairs = cfg.DATASETS, cfg.DATASETS.LABEL_NAMES
    if data.LABELS_COCO and data.LABELS_FOLDER:
        yield "DATASETS.LABELS_COCO and DATASETS.LABELS_FOLDER are both set; leave one empty"
    if not all(isinstance(pair, list) and [type(each) for each in pair] == [str, str] for pair in pairs):
        yield f"DATASETS.LABEL_NAMES is {pairs}; it must be pairs of texts, such as [['GS', 'glomerulus']]"
        return
    meanings = [*data.CLASSES, *LABEL_MEANINGS]
    strange = sorted({meaning for _, meaning in pairs if meaning not in meanings})
    if strange:
        yield f"DATASETS.LABEL_NAMES has {strange}; choose of {meanings}"
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        yield f"DATASETS.LABEL_NAMES is {pairs}; it must have each name once"


def _lists(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATASETS
    if data.CROP and not _is_crop(data.CROP):
        yield f"DATASETS.CROP is {data.CROP}; it must be [row, column, rows, columns]"
    if data.LAYOUT == "pairs" and "{name}" not in data.IMAGES:
        yield f"DATASETS.IMAGES is {data.IMAGES!r}; it must hold {{name}}"
    elif data.LAYOUT == "pairs" and data.MASKS and _places(data.MASKS) != _places(data.IMAGES):
        yield f"DATASETS.MASKS is {data.MASKS!r}; it must hold the {{group}} and {{name}} of DATASETS.IMAGES"
    yield from _normalisation(cfg)
    yield from _fold_groups(data.FOLD_GROUPS)
    scales = cfg.TEST.TTA_SCALES
    if not scales or not all(isinstance(each, (int, float)) and 0.25 <= each <= 4 for each in scales):
        yield f"TEST.TTA_SCALES is {scales}; it must be factors from 0.25 to 4, such as [1.0, 0.8, 1.25]"


def _normalisation(cfg: CfgNode) -> Iterator[str]:
    for key in ("MEAN", "STD"):
        if cfg.INPUT[key] and len(cfg.INPUT[key]) != cfg.MODEL.IN_CHANNELS:
            yield f"INPUT.{key} has {len(cfg.INPUT[key])} values for {cfg.MODEL.IN_CHANNELS} channels"
        elif not all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in cfg.INPUT[key]):
            yield f"INPUT.{key} is {cfg.INPUT[key]}; it must be numbers from 0 to 1, such as [0.7, 0.5, 0.6]"
    if 0 in cfg.INPUT.STD:
        yield f"INPUT.STD is {cfg.INPUT.STD}; pixels are divided by it, so that none may be 0"


def _training(cfg: CfgNode) -> Iterator[str]:
    data = cfg.DATASETS
    yield from _loss_parts(cfg.SOLVER.LOSS_PARTS)
    yield from _pseudo_labels(cfg)
    yield from _optimisation(cfg.SOLVER)
    if cfg.SOLVER.DEEP_SUPERVISION and cfg.MODEL.ARCHITECTURE not in WITH_INNER_MASKS:
        yield f"SOLVER.DEEP_SUPERVISION is set; it needs MODEL.ARCHITECTURE to be one of {WITH_INNER_MASKS}"
    if cfg.TEST.SPLIT and not data.ID_CSV and data.LAYOUT not in WITH_SPLITS:
        yield f"TEST.SPLIT is {cfg.TEST.SPLIT!r} but DATASETS.ID_CSV, which holds the splits, is empty"
    if data.GROUP_BY not in ("group", "id") and not data.ID_CSV:
        yield f"DATASETS.GROUP_BY is {data.GROUP_BY!r}, but DATASETS.ID_CSV, which would have that column, is empty"
    if cfg.SOLVER.BATCH_SIZE == 1 and cfg.MODEL.ARCHITECTURE.startswith("UneXt"):
        yield "SOLVER.BATCH_SIZE is 1; UneXt normalises over a batch of at least 2"
    if cfg.INPUT.FROM == "crops" and cfg.MODEL.AXES == 2 and cfg.SOLVER.CACHE != "none":
        yield f"SOLVER.CACHE is {cfg.SOLVER.CACHE!r}, but INPUT.FROM 'crops' reads other pixels each time; set 'none'"
    folds = len(data.FOLD_GROUPS) or cfg.SOLVER.N_FOLDS
    chosen = cfg.SOLVER.FOLDS
    if not all(type(fold) is int for fold in chosen) or len(set(chosen)) < len(chosen):
        yield f"SOLVER.FOLDS is {chosen}; it must be whole numbers, each once, such as [0, 2]"
    elif not data.FOLDS_CSV and not all(fold in range(folds) for fold in chosen):
        yield f"SOLVER.FOLDS is {chosen}; folds run from 0 to {folds - 1}"


def _pseudo_labels(cfg: CfgNode) -> Iterator[str]:
    solver = cfg.SOLVER
    if cfg.DATASETS.UNLABELLED_FOLDER and cfg.MODEL.AXES != 2:
        yield f"DATASETS.UNLABELLED_FOLDER is set; pseudo-labels are for MODEL.AXES 2, not {cfg.MODEL.AXES}"
    named = [part[0] for part in solver.LOSS_PARTS if isinstance(part, list) and part] or [solver.LOSS_FUNCTION_NAME]
    hard = [name for name in named if name not in SOFT_LOSSES]
    if cfg.DATASETS.PSEUDO_LABELS and solver.PSEUDO == "soft" and hard:
        yield f"SOLVER.PSEUDO is 'soft', which {hard} cannot learn from; choose from {SOFT_LOSSES}, or set 'hard'"


def _optimisation(solver: CfgNode) -> Iterator[str]:
    if solver.CYCLES > 1 and solver.SCHEDULE != "cosine":
        yield f"SOLVER.CYCLES is {solver.CYCLES} and SOLVER.SCHEDULE {solver.SCHEDULE!r}; cycles need 'cosine'"
    if solver.CYCLES > 1 and solver.EPOCHS % solver.CYCLES:
        yield f"SOLVER.CYCLES is {solver.CYCLES}; it must divide SOLVER.EPOCHS ({solver.EPOCHS})"
    if solver.EMA and solver.SWA_EPOCHS:
        yield "SOLVER.EMA and SOLVER.SWA_EPOCHS are both set; keep one mean of the weights"
    if not 0 <= solver.EMA < 1:
        yield f"SOLVER.EMA is {solver.EMA}; it must be at least 0 and below 1, such as 0.99"
    if solver.PLATEAU_FACTOR > 1:
        yield f"SOLVER.PLATEAU_FACTOR is {solver.PLATEAU_FACTOR}; it must be at most 1"
    if solver.FREEZE_EPOCHS and solver.FREEZE_EPOCHS >= solver.EPOCHS:
        yield f"SOLVER.FREEZE_EPOCHS is {solver.FREEZE_EPOCHS}; it must be smaller than SOLVER.EPOCHS ({solver.EPOCHS})"
    if solver.SWA_EPOCHS > solver.EPOCHS:
        yield f"SOLVER.SWA_EPOCHS is {solver.SWA_EPOCHS}; it must be at most SOLVER.EPOCHS ({solver.EPOCHS})"


def _loss_parts(parts: list) -> Iterator[str]:
    names = CHOICES["SOLVER.LOSS_FUNCTION_NAME"]
    is_pair = [isinstance(part, list) and len(part) == 2 and isinstance(part[1], (int, float)) for part in parts]
    if not all(is_pair) or not all(weight > 0 for _, weight in parts):
        yield f"SOLVER.LOSS_PARTS is {parts}; it must be losses with weights above 0, such as [['bce', 1]]"
        return
    yield from (f"SOLVER.LOSS_PARTS names {name!r}; choose from {names}" for name, _ in parts if name not in names)


def _places(pattern: str) -> set[str]:
    return {place for place in ("{group}", "{name}") if place in pattern}


def _fold_groups(folds: list) -> Iterator[str]:
    if not all(isinstance(groups, list) and all(isinstance(each, str) for each in groups) for groups in folds):
        yield f"DATASETS.FOLD_GROUPS is {folds}; it must be lists of names, such as [['1', '3'], ['2', '5']]"
        return
    names = [name for groups in folds for name in groups]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        yield f"DATASETS.FOLD_GROUPS names {doubled} in several folds"


def _is_crop(crop: list) -> bool:
    return (
        len(crop) in (4, 6)
        and all(isinstance(n, int) for n in crop)
        and min(crop) >= 0
        and 0 not in crop[len(crop) // 2 :]
    )


def _missing(cfg: CfgNode, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        value = str(get(cfg, key))
        is_folder = key.endswith("FOLDER")
        if value and not Path(value).exists():
            yield f"{key} is {value!r}, which does not exist"
        elif key.endswith(("CSV", "COCO")) and value and not Path(value).is_file():
            yield f"{key} is {value!r}, which is no file"
        elif is_folder and not (value and Path(value).is_dir()):
            yield f"{key} is {value!r}, which is no folder"
