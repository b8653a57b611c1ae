"""Sets of augmentation by name: a value for each key of AUGMENTATION that says how often or how much."""

_GEOMETRY = ("FLIP", "ROTATE90", "AFFINE", "PERSPECTIVE", "DISTORTION")
_APPEARANCE = ("NOISE", "BLUR", "HSV", "CLAHE", "BRIGHTNESS", "GAMMA", "STAIN", "CUTMIX")
_OF_VOLUMES = ("MOTION", "BIAS_FIELD", "INTENSITY_SHIFT")
_NONE = dict.fromkeys([*_GEOMETRY, *_APPEARANCE, *_OF_VOLUMES], 0.0) | {
    "AFFINE_SCALE": 0.1,
    "AFFINE_SHIFT": 0.06,
    "AFFINE_DEGREES": 45.0,
    "STAIN_STRENGTH": 0.15,
}
_SYMMETRY = {"FLIP": 0.5, "ROTATE90": 0.5}

AUGMENTATION_SETS: dict[str, dict[str, float]] = {
    "none": _NONE,
    "light": _NONE | _SYMMETRY | {"BRIGHTNESS": 0.3},
    # every kind of the pipeline that this one grew from
    "seed": _NONE
    | _SYMMETRY
    | dict.fromkeys(["PERSPECTIVE", "DISTORTION", "NOISE", "BLUR", "HSV", "CLAHE", "BRIGHTNESS", "GAMMA"], 0.2)
    | {"AFFINE": 0.9, "AFFINE_SCALE": 0.2, "AFFINE_SHIFT": 0.0625, "AFFINE_DEGREES": 15.0},
    "heavy": _NONE
    | _SYMMETRY
    | dict.fromkeys(["NOISE", "BLUR", "GAMMA", "DISTORTION"], 0.4)
    | {"AFFINE": 0.9, "AFFINE_SCALE": 0.25, "AFFINE_SHIFT": 0.1, "AFFINE_DEGREES": 90.0, "PERSPECTIVE": 0.2}
    | {"HSV": 0.5, "CLAHE": 0.1, "BRIGHTNESS": 0.6, "STAIN": 0.7, "STAIN_STRENGTH": 0.3, "CUTMIX": 0.2},
}
