"""One picture after the other through the path of test_net.py: reader, scale, patches, blending, cleaning, mask."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from yacs.config import CfgNode

from config import ConfigError, read_cfg
from config.check import check_cfg, get
from config.load import all_keys, flatten
from config.yaml_text import load_yaml

if TYPE_CHECKING:
    from data.cases import Case
    from data.sources.opening import CaseReader
    from data.sources.source import Source
    from data.stitching.case import Inference
    from data.stitching.mask_rule import MaskRule
    from data.stitching.probability_map import ProbabilityMap
    from data.stitching.sliding_window import Predict, Track
    from model.card import ModelCard
    from model.predictor import Member

MEGA = 10**6
# what the training run's config says of prediction, where the caller's says nothing: the threshold was tuned with it
AS_TRAINED = (
    *("DATASETS.LAYOUT", "DATASETS.CROP", "TEST.PATCH", "TEST.OVERLAP", "TEST.TTA", "TEST.TTA_SCALES"),
    *("TEST.TH_LOW", "TEST.MIN_OBJECT", "TEST.MAX_HOLE", "TEST.LARGEST"),
)
TISSUE = ("TILES.MIN_TISSUE", "TILES.TISSUE")  # and what begins like these


class Segmentation:
    """The prediction of one picture; another threshold costs no forward pass. Close it to remove its scratch files."""

    def __init__(self, path: Path, raw: "ProbabilityMap", rule: "MaskRule", scratch: TemporaryDirectory):
        self.path = path
        self.raw = raw
        self.rule = rule
        self._scratch = scratch

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices."""
        return self.raw.frame.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of the picture as it was read."""
        return self.raw.frame.shape_level0

    @cached_property
    def picture(self) -> np.ndarray:
        """The picture itself (rows, columns, 3) uint8."""
        from data.patches.grid import whole
        from data.sources import open_source

        with open_source(self.path) as source:
            return _in_colour(source.read(whole(source.shape)))

    def mask(self, threshold: float | None = None, longest_px: int = 0) -> np.ndarray:
        """Class indices (rows, columns) uint8 at the size of the picture, or shrunk to `longest_px`.

        They are those after post-processing, at the rule's own threshold or at another one. Threads may ask at once.
        """
        from data.patches.grid import whole
        from data.patches.tissue import shrunk_shape
        from data.stitching.mask import MaskView
        from data.stitching.postprocess import clean_case

        rule = self.rule if threshold is None else replace(self.rule, threshold=threshold)
        shape = shrunk_shape(self.shape, longest_px) if longest_px else self.shape
        with TemporaryDirectory(dir=self._scratch.name) as folder:
            final = clean_case(self.raw, Path(folder) / "cleaned.zarr", rule)
            return MaskView(final.on_image(shape), rule.extent).read(whole(shape))

    def overlay(self, threshold: float | None = None) -> np.ndarray:
        """The picture (rows, columns, 3) uint8 with the mask's areas in the colours of the classes."""
        return draw_mask(self.picture, self.mask(threshold), self.classes)

    def close(self) -> None:
        """Remove the scratch files."""
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def preview(path: Path, longest_px: int, most_px: int) -> np.ndarray:
    """A picture shrunk to at most `longest_px` along a side, (rows, columns, 3) uint8; refused as for prediction."""
    from data.patches.grid import whole
    from data.patches.tissue import shrunk_shape
    from data.sources import ScaledSource, open_source

    with open_source(path) as source:
        refuse_large_source(path, source, most_px)
        shape = shrunk_shape(source.shape, longest_px)
        return _in_colour(ScaledSource(source, shape).read(whole(shape)))


def refuse_large_source(path: Path, source: "Source", most_px: int) -> None:
    """Raise TooLargeError where a picture, or a part of it that is decoded at once, has more than `most_px` pixels."""
    from data.sources import SourceError

    if len(source.shape) != 2:
        raise SourceError(f"{path.name} is no flat picture; test_net.py predicts volumes")
    tiles = [source.tile_shape(level) for level in range(len(source.level_shapes))]
    _refuse_shapes(path, [*source.level_shapes, *tiles], most_px)


def _refuse_shapes(path: Path, shapes: "Sequence[tuple[int, ...]]", most_px: int) -> None:
    from data.sources.source import TooLargeError

    pixels = max(map(math.prod, shapes))
    if pixels > most_px:
        most = f"{most_px / MEGA:g}, see SERVE.MEGAPIXELS"
        raise TooLargeError(f"{path.name} has {pixels / MEGA:.3g} megapixels; at most {most}, are taken")


def _in_colour(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.shape[-1] == 3 else np.repeat(pixels[..., :1], 3, axis=-1)


def draw_mask(picture: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A picture (rows, columns, 3) uint8 with the areas of a mask (rows, columns); a new one."""
    from utils.plots import class_colours, draw_areas

    return draw_areas(picture, mask, list(class_colours(classes).values()))


@dataclass(frozen=True)
class Segmenter:
    """Networks that are loaded once, and how pictures go through them; one of more than `most_px` pixels is refused."""

    members: "Sequence[Member]"
    reader: "CaseReader"
    inference: "Inference"
    predictor: "Predict"
    rule: "MaskRule"
    most_px: int

    def __call__(self, path: Path, track: "Track | None" = None) -> Segmentation:
        """Predict one picture; raises SourceError naming the file where it cannot be read or is too large."""
        from data.cases import Case
        from data.stitching.case import predict_case

        case = Case(path.name, path)
        self._refuse_large(case)
        scratch = TemporaryDirectory(prefix="segmentation-")
        try:
            target = Path(scratch.name) / "probabilities.zarr"
            raw = predict_case(case, self.reader, self.inference, self.predictor, target, track)
        except BaseException:
            scratch.cleanup()
            raise
        return Segmentation(path, raw, self.rule, scratch)

    def _refuse_large(self, case: "Case") -> None:
        """Raise TooLargeError for a picture that would take too much memory, before any pixel of it is decoded."""
        from data.sources import open_source
        from data.sources.source import TooLargeError

        with open_source(case.image) as source:
            refuse_large_source(case.image, source, self.most_px)
        with self.reader.open_image(case) as image:
            shape, patch = self.inference.scale.shape_of(image), self.inference.patch_px
        _refuse_shapes(case.image, [shape], self.most_px)
        in_patches = [max(n, patch) for n in shape]  # what a picture thinner than a patch costs the network
        if math.prod(in_patches) > max(self.most_px, patch ** len(shape)):
            raise TooLargeError(
                f"{case.image.name} of {' x '.join(map(str, shape))} pixels takes patches of "
                f"{math.prod(in_patches) / MEGA:.3g} megapixels; at most {self.most_px / MEGA:g}, "
                "see SERVE.MEGAPIXELS, are taken"
            )


def build_segmenter(cfg: CfgNode) -> Segmenter:
    """The networks of TEST.MODEL_WEIGHTS_FOLDER, which may name a single file; what does not fit is a ConfigError."""
    from test_net import build_path, choose_rule, load_networks, with_card

    members, _ = load_networks(cfg)
    own = with_card(as_trained(cfg, members[0].card), members[0])
    rule, most_px = choose_rule(own, members), round(cfg.SERVE.MEGAPIXELS * MEGA)
    return Segmenter(members, *build_path(own, members), rule, most_px)


def build_plain_segmenter(cfg: CfgNode, member: "Member") -> Segmenter:
    """A segmenter of one network, whether its threshold is known or not; that of its masks is 0.5."""
    from data.stitching.mask_rule import MaskRule
    from test_net import build_path, with_card

    own = with_card(as_trained(cfg, member.card), member)
    return Segmenter([member], *build_path(own, [member]), MaskRule(0.5), round(cfg.SERVE.MEGAPIXELS * MEGA))


def as_trained(cfg: CfgNode, card: "ModelCard") -> CfgNode:
    """The config with what the run that made the weights said of prediction, where this one has the default."""
    defaults = dict(all_keys(read_cfg()[0]))
    keys = [key for key in defaults if key in AS_TRAINED or key.startswith(TISSUE)]
    stated = _stated(card)
    words = [word for key in keys if key in stated for word in (key, str(stated[key]))]
    trained, mistakes = read_cfg(options=words)
    check_cfg(trained, (), mistakes)
    cfg = cfg.clone()
    cfg.defrost()
    for key in keys:
        group, name = key.split(".")
        if get(cfg, key) == defaults[key]:
            cfg[group][name] = get(trained, key)
    cfg.freeze()
    return cfg


def _stated(card: "ModelCard") -> dict[str, object]:
    """The options of the run that made the weights; raises ConfigError where their card is damaged."""
    try:
        content = load_yaml(card.config) or {}
    except ValueError as error:
        raise ConfigError([f"the config in the card of the weights cannot be read: {error}"]) from error
    if not isinstance(content, dict):
        raise ConfigError(["the config in the card of the weights holds no KEY: VALUE lines"])
    return dict(flatten(content))


def load_app_cfg(model: Path, threshold: float, config_file: str = "", options: Sequence[str] = ()) -> CfgNode:
    """The config of a program with flags of its own: weights (a file or a folder) and a threshold, 0 for the tuned."""
    words = [*options, "TEST.MODEL_WEIGHTS_FOLDER", str(model), "TEST.TH", str(threshold)]
    cfg, mistakes = read_cfg(config_file, words)
    check_cfg(cfg, [], mistakes if model.exists() else [*mistakes, f"there are no weights at {str(model)!r}"])
    return cfg
