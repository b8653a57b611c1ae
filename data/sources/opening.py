"""Opening the image and the labels of a case as the config asks: classes, crop, pixel size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box
from data.sources import open_source
from data.sources.body import find_body
from data.sources.class_names import ClassNames, build_class_names
from data.sources.grey import GreySource
from data.sources.head import HeadSource, open_head
from data.sources.intensity import AS_IT_IS, IntensityRule, build_intensity
from data.sources.labels import ToClasses, build_mask_rule, open_labels
from data.sources.source import CroppedSource, Source, SourceError
from data.sources.volume import VolumeSource

RGB = 3  # channels of a colour image


@dataclass(frozen=True)
class CaseReader:
    """Opens cases; `crop` is (start..., size...) at level 0 or empty.

    `body_above` cuts a volume to the box of what lies above this value of its file, the body. `head_px`, if not 0,
    makes of each volume its head, with slices of so many pixels a side.
    `spacing_um`, if not 0, overrules the pixel size that a file states, and that of a case overrules both.
    """

    names: ClassNames
    to_classes: ToClasses
    crop: tuple[int, ...] = ()
    spacing_um: float = 0.0
    channels: int = 3
    intensity: IntensityRule = AS_IT_IS
    body_above: float | None = None
    head_px: int = 0

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their indices."""
        return list(self.names.classes)

    def open_image(self, case: Case) -> Source:
        """The image of a case, as grey values for a network of one channel.

        Raises SourceError, also for other channels than the network takes.
        """
        source = open_source(case.image, self.intensity)
        if source.channels == RGB and self.channels == 1:
            source = GreySource(source)
        if source.channels != self.channels:
            source.close()
            raise SourceError(f"{case.image.name} has {source.channels} channels; MODEL.IN_CHANNELS is {self.channels}")
        if self.head_px:
            source = open_head(source, case.image.name, self.head_px)
        if case.spacing_um or self.spacing_um:
            source.spacing_um = (case.spacing_um or self.spacing_um,) * len(source.shape)
        return self._cropped(source)

    def open_labels(self, case: Case, image: Source) -> Source:
        """The labels of a case as class indices in the frame of its opened image; raises SourceError or RleError."""
        box, shape = image.frame_level0
        head = image.source if isinstance(image, CroppedSource) else image
        if isinstance(head, HeadSource):
            labels = head.labels(open_labels(case, head.shape_in_file, self.names, self.to_classes, head.grid_in_file))
        else:
            labels = open_labels(case, shape, self.names, self.to_classes, image.grid)
        return labels if box.size == shape else CroppedSource(labels, box)

    @contextmanager
    def open_both(self, case: Case) -> Iterator[tuple[Source, Source]]:
        """Image and labels of a case, closed together."""
        with self.open_image(case) as image, self.open_labels(case, image) as labels:
            yield image, labels

    def _cropped(self, source: Source) -> Source:
        try:
            box = self._crop_box(source)
            return CroppedSource(source, box) if box else source
        except BaseException:
            source.close()
            raise

    def _crop_box(self, source: Source) -> Box | None:
        axes = len(source.shape)
        if self.body_above is not None:
            if not isinstance(source, VolumeSource):
                raise SourceError("DATASETS.CROP_TO is 'body', which only volumes have; leave it empty")
            return find_body(source.file, self.body_above)
        if self.crop and len(self.crop) != 2 * axes:
            raise SourceError(f"DATASETS.CROP {self.crop} must hold {2 * axes} numbers for an image of {axes} axes")
        return Box(self.crop[:axes], self.crop[axes:]) if self.crop else None


def build_reader(cfg: CfgNode) -> CaseReader:
    """The reader of a config's cases."""
    data, channels = cfg.DATASETS, cfg.MODEL.IN_CHANNELS
    names, to_classes, intensity = build_class_names(cfg), build_mask_rule(cfg), build_intensity(cfg)
    body_above = data.BODY_ABOVE if data.CROP_TO == "body" else None
    crop, spacing_um, head_px = tuple(data.CROP), data.SPACING_UM, cfg.INPUT.HEAD_PX
    return CaseReader(names, to_classes, crop, spacing_um, channels, intensity, body_above, head_px)
