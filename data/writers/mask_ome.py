"""Masks as OME-TIFF: the pyramid in SubIFDs, pixel size and class names in the OME-XML."""

import uuid
from pathlib import Path

import tifffile

from data.stitching.mask import Threshold
from data.stitching.probability_map import Frame, ProbabilityMap
from data.writers.mask_tiff import encoded_levels, is_large, page_options, pyramid_shapes
from data.writers.objects_csv import NAMESPACE
from utils.atomic import atomic_path


def write_mask_ome(path: Path, case_id: str, probabilities: ProbabilityMap, threshold: Threshold) -> None:
    """Write the mask at level 0 and its pyramid; values are class indices, 0 is background.

    The names of the classes are a map annotation: index to name.
    """
    frame = probabilities.frame
    smaller = len(pyramid_shapes(frame.shape_level0)) - 1
    with atomic_path(path) as draft, tifffile.TiffWriter(draft, ome=True, bigtiff=is_large(frame)) as writer:
        for level, (shape, tiles) in enumerate(encoded_levels(probabilities, threshold)):
            kind = {"subfiletype": 1} if level else {"subifds": smaller, "metadata": _metadata(case_id, frame)}
            writer.write(tiles, shape=shape, software="", **kind, **page_options(frame, shape))


def _metadata(case_id: str, frame: Frame) -> dict[str, object]:
    """What the OME-XML says; its UUID is the same from run to run."""
    names = {str(number): name for number, name in enumerate(frame.classes, start=1)}
    known: dict[str, object] = {"axes": "YX", "Name": case_id, "MapAnnotation": names}
    if frame.spacing_um:
        for axis, um in zip("YX", frame.spacing_um, strict=True):
            known |= {f"PhysicalSize{axis}": um, f"PhysicalSize{axis}Unit": "\u00b5m"}
    return known | {"UUID": str(uuid.uuid5(NAMESPACE, f"{case_id}/mask")), "Creator": "tifffile"}
