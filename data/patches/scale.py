"""The scale of the network's image: how many level-0 pixels make one of its pixels."""

from dataclasses import dataclass

from yacs.config import CfgNode

from data.sources.source import Source, SourceError, model_shape

OVERRIDE = "set DATASETS.SPACING_UM (for example 0.5), or fill the column spacing_um of DATASETS.ID_CSV"
PLAUSIBLE = (0.25, 128.0)  # reductions by pixel size; beyond, one of the two sizes is wrong


@dataclass(frozen=True)
class Scale:
    """A pixel size in um that rules where the image states its own, and a reduction of level 0 where it does not.

    Either may be 0, which is unknown.
    """

    reduction: float
    spacing_um: float = 0.0

    @property
    def suffix(self) -> str:
        """How the scale is written in folder names: red4, or 2um where there is no reduction."""
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
        """Shape of the image at the network's scale."""
        return model_shape(source, self.reduction_of(source))


def build_scale(cfg: CfgNode) -> Scale:
    """The scale that TILES.SPACING_UM asks for, or TILES.REDUCTION."""
    return Scale(0.0, cfg.TILES.SPACING_UM) if cfg.TILES.SPACING_UM else Scale(cfg.TILES.REDUCTION)
