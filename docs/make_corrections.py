"""Makes docs/pictures/corrections.jpg: predicted outlines, what a pathologist makes of them, the next training label.

The slide is drawn by the project; a map made of its true mask, with three mistakes, stands for a network's. All else is
what `test_net.py` writes and `tiles_creator.py` reads. Run it with `python -m docs.make_corrections`.
"""

import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont

from config import load_cfg
from data.cases import list_cases
from data.patches.grid import whole
from data.sources.opening import build_reader
from data.stitching.probability_map import Frame, ProbabilityMap, create_map
from data.synthetic import SPACING_UM, draw_slide
from data.writers.products import CaseMask, Products
from data.writers.results import Results
from utils.atomic import atomic_path

PICTURE = Path(__file__).parent / "pictures" / "corrections.jpg"
SHAPE, SEED, REDUCTION = (1500, 1900), 1, 4
MISSED, TORN, FALSE = (1191, 1255), (799, 1039), (1136, 722)  # (row, column) at level 0
PAINT = {
    "predicted": "#e69f00",
    "as it was": "#e69f00",
    "deleted": "#22262b",
    "reshaped": "#0072b2",
    "drawn": "#009e73",
}
PAINT["label"] = "#009e73"
SHRUNK = 3  # level-0 pixels a pixel of the picture, along a side
Feature = dict[str, object]


def main(argv: Sequence[str]) -> int:
    """Go once round the loop and draw it at the path given, or where the docs have it."""
    picture = Path(argv[0]) if argv else PICTURE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide, truth = draw_slide(SEED, SHAPE)
        predicted = predict(folder, truth)
        corrected = correct(predicted, truth)
        label = read_label(folder, slide, [feature for feature, how in corrected if how != "deleted"])
    panels = [
        draw_panel(slide, [(feature, "predicted") for feature in predicted], "1  predicted, opened in QuPath"),
        draw_panel(slide, corrected, "2  corrected and exported"),
        draw_panel(shade(slide, label), [], "3  the next training label"),
    ]
    with atomic_path(picture) as draft:
        Image.fromarray(np.concatenate(panels, axis=1)).save(draft, quality=88)
    return 0


def predict(folder: Path, truth: np.ndarray) -> list[Feature]:
    """The features that are written of a map which misses a glomerulus, tears one and finds one too many."""
    mistaken = truth.copy()
    cv2.circle(mistaken, MISSED[::-1], 150, 0, -1)
    cv2.circle(mistaken, (TORN[1] + 75, TORN[0] + 25), 85, 0, -1)
    cv2.ellipse(mistaken, FALSE[::-1], (95, 105), 20, 0, 360, 1, -1)
    small = cv2.resize(mistaken * 255, (SHAPE[1] // REDUCTION, SHAPE[0] // REDUCTION), interpolation=cv2.INTER_AREA)
    frame = Frame((0, 0), SHAPE, SHAPE, ("glomerulus",), (SPACING_UM, SPACING_UM))
    probabilities: ProbabilityMap = create_map(folder / "map.zarr", small.shape, frame)
    probabilities.write(0, cv2.GaussianBlur(small, (0, 0), 2)[None])
    probabilities.flush()
    results = Results(folder)
    Products(["geojson"], simplify_px=2.0).write(results, CaseMask("slide", probabilities, 0.5))
    return json.loads(results.geojson("slide").read_text(encoding="utf-8"))["features"]


def correct(features: list[Feature], truth: np.ndarray) -> list[tuple[Feature, str]]:
    """The features after the work of a pathologist, with what was done to each."""
    done = []
    for feature in features:
        how = "deleted" if _holds(feature, FALSE) else "reshaped" if _holds(feature, (TORN[0], TORN[1] - 60)) else ""
        done.append((_redrawn(feature, truth, TORN) if how == "reshaped" else feature, how or "as it was"))
    own = {"objectType": "annotation", "classification": {"name": "glomerulus", "color": [200, 0, 0]}}
    drawn: Feature = {"type": "Feature", "id": str(uuid.UUID(int=1)), "geometry": {}, "properties": own}
    return [*done, (_redrawn(drawn, truth, MISSED), "drawn")]


def _holds(feature: Feature, place: tuple[int, int]) -> bool:
    outer = np.array(feature["geometry"]["coordinates"][0], np.float32)  # type: ignore[index]
    return cv2.pointPolygonTest(outer, place[::-1], False) > 0


def _redrawn(feature: Feature, truth: np.ndarray, place: tuple[int, int]) -> Feature:
    """The feature with the outline of the glomerulus at a place, as a hand would draw it."""
    _, labels = cv2.connectedComponents(truth)
    (outline,), _ = cv2.findContours(
        (labels == labels[place]).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    ring = cv2.approxPolyDP(outline, 2.0, True)[:, 0].tolist()
    return feature | {"geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}


def read_label(folder: Path, slide: np.ndarray, features: list[Feature]) -> np.ndarray:
    """The label (row, column) that training sees of a slide and of what QuPath exported for it."""
    (folder / "slides").mkdir()
    (folder / "corrected").mkdir()
    tifffile.imwrite(folder / "slides" / "slide.tiff", slide, tile=(256, 256))
    collection = {"type": "FeatureCollection", "features": features}
    (folder / "corrected" / "slide.geojson").write_text(json.dumps(collection), encoding="utf-8")
    places = ["DATASETS.WSI_FOLDER", str(folder / "slides"), "DATASETS.LABELS_FOLDER", str(folder / "corrected")]
    cfg = load_cfg("", [*places, "DATASETS.CLASSES", "['glomerulus']"])
    (case,) = list_cases(cfg).cases
    with build_reader(cfg).open_both(case) as (_, labels):
        return labels.read(whole(SHAPE))[..., 0]


def shade(slide: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The slide with its label as a translucent area."""
    colour = np.array(list(bytes.fromhex(PAINT["label"][1:])))
    return np.where(label[..., None] == 1, 0.5 * slide + 0.5 * colour, slide).astype(np.uint8)


def draw_panel(slide: np.ndarray, features: Sequence[tuple[Feature, str]], title: str) -> np.ndarray:
    """A picture of the slide with outlines and, above it, a title and the key to their colours."""
    height, width, head = SHAPE[0] // SHRUNK, SHAPE[1] // SHRUNK, 60
    panel = Image.new("RGB", (width + 8, height + head), "white")
    panel.paste(Image.fromarray(slide).resize((width, height), Image.Resampling.BOX), (4, head))
    draw = ImageDraw.Draw(panel)
    draw.text((10, 6), title, fill="#22262b", font=ImageFont.load_default(20))
    for feature, how in features:
        for ring in feature["geometry"]["coordinates"]:  # type: ignore[index]
            line = [(x / SHRUNK + 4, y / SHRUNK + head) for x, y in ring]
            draw.line(line, fill=PAINT[how], width=3, joint="curve")
            if how == "deleted":
                draw.line([line[0], line[len(line) // 2]], fill=PAINT[how], width=3)
    place = 10
    for how in dict.fromkeys(how for _, how in features) if features else ["label"]:
        draw.rectangle((place, 37, place + 14, 51), fill=PAINT[how])
        draw.text((place + 20, 44), how, fill="#22262b", font=ImageFont.load_default(15), anchor="lm")
        place += 50 + 8 * len(how)
    return np.asarray(panel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
