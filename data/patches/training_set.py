"""What a training learns from: samples, and what prediction has to know of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data.patches.crops import CropSample
from data.patches.dataset import PatchSample, Sample
from data.patches.sampling import Content


@dataclass(frozen=True)
class TrainingSet:
    """Samples of all usable cases and what prediction has to know of them: mean and std by channel, pixel size in um.

    `foreground` is the area of each case's objects in pixels of the network's image. A case of nothing but glass is
    usable and has no samples. `contents` is what each sample holds, by its name, where the sampling asks for it.
    `pseudo` are patches of unlabelled cases by the fold that alone may learn from them.
    """

    samples: Sequence[Sample]
    mean: list[float]
    std: list[float]
    spacing_um: float | None = None
    case_ids: frozenset[str] = frozenset()
    foreground: Mapping[str, float] = field(default_factory=dict)
    contents: Mapping[str, Content] = field(default_factory=dict)
    pseudo: Mapping[int, Sequence[CropSample]] = field(default_factory=dict)

    @property
    def patch(self) -> tuple[int, ...]:
        """Sides by axis (z, row, column) of the patches of volumes; empty for pictures."""
        boxes = [sample.box for sample in self.samples[:1] if isinstance(sample, PatchSample)]
        return next((box.size for box in boxes if len(box.size) > 2), ())

    def of(self, case_ids: set[str]) -> list[Sample]:
        """The samples of some cases."""
        return [sample for sample in self.samples if sample.case_id in case_ids]
