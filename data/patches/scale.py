"""The scale of the network's image: how many level-0 pixels make one of its pixels."""

from dataclasses import dataclass

from yacs.config import CfgNode

from data.sources.source import Source, SourceError, model_shape

OVERRIDE = "set DATASETS.SPACING_UM (for example 0.5), or fill the column spacing_um of DATASETS.ID_CSV"
PLAUSIBLE = (0.25, 128.0)  # reductions by pixel size; beyond, one of the two sizes is wrong


@dataclass(frozen=True)
class Scale:
    """A pixel size in um that rules where the image states its own, and a reduction of level 0 where it does not.

    Either may be 0, which is unknown. In their place by axis: `reductions`, `spacings_um` or `sides`, the shape at
    the network's scale; a pixel size or a side of 0 leaves its axis as it is.
    """

    reduction: float
    spacing_um: float = 0.0
    reductions: tuple[float, ...] = ()
    spacings_um: tuple[float, ...] = ()
    sides: tuple[int, ...] = ()

    @property
    def suffix(self) -> str:
        """How the scale is written in folder names: red4, or 2um where there is no reduction; by axis red1x2x2."""
        for start, numbers, end in (("red", self.reductions, ""), ("", self.spacings_um, "um"), ("", self.sides, "px")):
            if numbers:
                return start + "x".join(f"{number:g}" for number in numbers) + end
        return f"red{self.reduction:g}" if self.reduction else f"{self.spacing_um:g}um"

    def reduction_of(self, source: Source) -> float:
        """Level-0 pixels a side per pixel of the network's image; raises SourceError where a pixel size is missing."""
        if self.spacing_um and source.spacing_um:
            reduction = self.spacing_um / max(source.spacing_um)
            if not PLAUSIBLE[0] <= reduction <= PLAUSIBLE[1]:
                raise SourceError(
                    f"has pixels of {max(source.spacing_um):g} um, the network takes {self.spacing_um:g} um; "
                    f"if the file is wrong, {OVERRIDE}"
                )
            return reduction
        if not self.reduction:
            raise SourceError(f"has no pixel size; {OVERRIDE}")
        return self.reduction

    def doubt_about(self, source: Source) -> str:
        """What may be wrong with the reduction of an image that does not state its pixel size, or nothing."""
        if source.spacing_um or not (self.spacing_um and self.reduction):
            return ""
        guess = f"{self.reduction:g} of its pixels are taken for one of {self.spacing_um:g} um, as in training"
        return f"has no pixel size; {guess}. If that is wrong, {OVERRIDE}"

    def shape_of(self, source: Source) -> tuple[int, ...]:
        """Shape of the image at the network's scale; raises SourceError where its axes or pixel sizes do not fit."""
        by_axis = self.reductions or self.spacings_um or self.sides
        if not by_axis:
            return model_shape(source, self.reduction_of(source))
        if len(by_axis) != len(source.shape):
            raise SourceError(f"has {len(source.shape)} axes, the network's scale is for {len(by_axis)}: {by_axis}")
        if self.sides:
            return tuple(side or n for side, n in zip(self.sides, source.shape, strict=True))
        return model_shape(source, self.reductions or self._reductions_by_size(source))

    def _reductions_by_size(self, source: Source) -> tuple[float, ...]:
        if not source.spacing_um:
            raise SourceError(f"has no pixel size; {OVERRIDE}")
        axes = zip(self.spacings_um, source.spacing_um, strict=True)
        reductions = tuple(wanted / own if wanted else 1.0 for wanted, own in axes)
        if not all(1 / PLAUSIBLE[1] <= reduction <= PLAUSIBLE[1] for reduction in reductions):
            raise SourceError(
                f"has voxels of {source.spacing_um} um, the network takes {self.spacings_um} um; "
                "if the file is wrong, mend its header"
            )
        return reductions


def build_scale(cfg: CfgNode) -> Scale:
    """The scale by axis that TILES.SIDES, SPACINGS_UM or REDUCTIONS ask for, or that of SPACING_UM or REDUCTION."""
    tiles = cfg.TILES
    if tiles.SIDES:
        return Scale(0.0, sides=tuple(tiles.SIDES))
    if tiles.SPACINGS_UM:
        return Scale(0.0, spacings_um=tuple(map(float, tiles.SPACINGS_UM)))
    if tiles.REDUCTIONS:
        return Scale(0.0, reductions=tuple(map(float, tiles.REDUCTIONS)))
    return Scale(0.0, tiles.SPACING_UM) if tiles.SPACING_UM else Scale(tiles.REDUCTION)
