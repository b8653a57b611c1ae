"""What is written of a predicted mask: the products that TEST.WRITE names, as far as its axes allow."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from yacs.config import CfgNode

from data.sources.source import Source
from data.stitching.mask import Threshold
from data.stitching.objects import find_objects
from data.stitching.probability_map import ProbabilityMap
from data.volume_cases import reads_volumes
from data.writers.geojson import compressed_path, geojson_file
from data.writers.gif import write_gif
from data.writers.mask_ome import write_mask_ome
from data.writers.mask_tiff import write_mask_tiff
from data.writers.objects_csv import describe_object, join_objects, object_table
from data.writers.preview import write_preview
from data.writers.results import Results
from data.writers.rle_csv import join_rle, write_case_rle
from data.writers.slice_pictures import remove_slices, write_slices


@dataclass(frozen=True)
class CaseMask:
    """The mask of a case: its probability map at a threshold; `open_image` is what films of its slices show.

    `open_both` gives the image with the labels, where these are known.
    """

    id: str
    probabilities: ProbabilityMap
    threshold: Threshold
    open_image: Callable[[], Source] | None = None
    open_both: Callable[[], AbstractContextManager[tuple[Source, Source]]] | None = None


@dataclass(frozen=True)
class Products:
    """Which products are written, and how; `names` are of PRODUCTS for pictures, of VOLUME_PRODUCTS for volumes."""

    names: Collection[str]
    object_type: str = "annotation"
    simplify_px: float = 0.0
    preview_px: int = 1600
    gif_axis: int = 0

    def write(self, results: Results, mask: CaseMask) -> None:
        """Write the products of a case and take away those of an earlier run that are not wanted now."""
        for name, path_of in (PRODUCTS | VOLUME_PRODUCTS).items():
            if name not in self.names:
                _remove(path_of(results, mask.id))
        remove_slices(results.slices, mask.id)
        if len(mask.probabilities.shape) == 3:
            self._write_volume(results, mask)
        else:
            self._write_pixels(results, mask)
            self._write_objects(results, mask)

    def _write_volume(self, results: Results, mask: CaseMask) -> None:
        if "nifti" in self.names and mask.probabilities.frame.grid:  # slices of pictures have no place in a patient
            from data.writers.mask_nifti import write_mask_nifti

            write_mask_nifti(results.nifti(mask.id), mask.probabilities, mask.threshold)
        if "gif" in self.names and mask.open_image:
            with mask.open_image() as source:
                write_gif(results.gif(mask.id), source, mask.probabilities, mask.threshold, self.gif_axis)
        if SLICES in self.names and mask.open_image:
            with ExitStack() as files:
                source, labels = (
                    files.enter_context(mask.open_both())
                    if mask.open_both
                    else (files.enter_context(mask.open_image()), None)
                )
                write_slices(results.slices, mask.id, source, labels, mask.probabilities, mask.threshold)

    def _write_pixels(self, results: Results, mask: CaseMask) -> None:
        if "tiff" in self.names:
            write_mask_tiff(results.mask(mask.id), mask.probabilities, mask.threshold)
        if "rle" in self.names:
            self._write_rle(results, mask)
        if "ome" in self.names:
            write_mask_ome(results.ome(mask.id), mask.id, mask.probabilities, mask.threshold)
        if "preview" in self.names:
            write_preview(results.preview(mask.id), mask.probabilities, mask.threshold, self.preview_px)

    def _write_rle(self, results: Results, mask: CaseMask) -> None:
        """Run lengths by way of the TIFF, which is made for them alone where it is not wanted."""
        frame, target = mask.probabilities.frame, results.run_lengths(mask.id)
        if "tiff" in self.names:
            return write_case_rle(target, mask.id, results.mask(mask.id), frame)
        with TemporaryDirectory(prefix=".mask-", dir=results.root) as folder:
            tiff = Path(folder) / "mask.tiff"
            write_mask_tiff(tiff, mask.probabilities, mask.threshold)
            return write_case_rle(target, mask.id, tiff, frame)

    def _write_objects(self, results: Results, mask: CaseMask) -> None:
        """Outlines and table from one pass over the mask."""
        adders: list[Callable] = []
        with ExitStack() as files:
            if "geojson" in self.names:
                file = geojson_file(results.geojson(mask.id), self.object_type, self.simplify_px)
                adders.append(files.enter_context(file))
            if "objects" in self.names:
                add_row = files.enter_context(object_table(results.objects(mask.id)))
                adders.append(lambda found, row: add_row(row))
            for found in find_objects(mask.probabilities, mask.threshold) if adders else ():
                row = describe_object(found, mask.id, mask.probabilities.frame)
                for add in adders:
                    add(found, row)


PRODUCTS: dict[str, Callable[[Results, str], Path]] = {
    "tiff": Results.mask,
    "rle": Results.run_lengths,
    "ome": Results.ome,
    "preview": Results.preview,
    "geojson": Results.geojson,
    "objects": Results.objects,
}
SLICES = "slices"  # many files a volume, unlike the others
VOLUME_PRODUCTS: dict[str, Callable[[Results, str], Path]] = {"nifti": Results.nifti, "gif": Results.gif}


def _remove(path: Path) -> None:
    for each in (path, compressed_path(path)):
        each.unlink(missing_ok=True)


def build_products(cfg: CfgNode) -> Products:
    """The products of TEST.WRITE that images of so many axes can have."""
    test, possible = (
        cfg.TEST,
        {*VOLUME_PRODUCTS, SLICES}
        if reads_volumes(cfg.MODEL.AXES, cfg.INPUT.FROM, cfg.DATASETS.LAYOUT)
        else {*PRODUCTS},
    )
    names = [name for name in test.WRITE if name in possible]
    return Products(names, test.OBJECT_TYPE, test.SIMPLIFY, test.OVERLAY_PX, test.GIF_AXIS)


def join_products(results: Results, names: Collection[str], case_ids: Sequence[str], classes: Sequence[str]) -> None:
    """Write output.csv and objects.csv, the lines of all cases, where they are wanted."""
    output, objects = results.root / "output.csv", results.root / "objects.csv"
    if "rle" in names:
        join_rle(output, map(results.run_lengths, case_ids), classes)
    else:
        output.unlink(missing_ok=True)  # of an earlier run
    if "objects" in names:
        join_objects(objects, map(results.objects, case_ids))
    else:
        objects.unlink(missing_ok=True)
