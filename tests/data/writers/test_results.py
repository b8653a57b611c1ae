import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import load_cfg
from data.cases import Case
from data.scoring import SCORE_COLUMNS, VOLUME_COLUMNS, CaseScore, ObjectCounts
from data.sources.opening import build_reader
from data.sources.source import ArraySource, SourceError
from data.stitching.mask_rule import MaskRule
from data.stitching.probability_map import Frame, ProbabilityMap
from data.writers.results import Results, evaluate_case, write_results_report, write_scores
from utils.failures import Failure
from utils.metrics import Confusion


def make_case(folder, case_id="a", labelled=True):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((64, 96, 3), 150, np.uint8)).save(folder / f"{case_id}.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 16:48] = 255
    Image.fromarray(mask).save(folder / f"{case_id}_mask.png")
    values = np.zeros((1, 32, 48), np.uint8)
    values[0, 8:24, 8:16] = 200
    frame = Frame((0, 0), (64, 96), (64, 96), ("object",))
    case = Case(case_id, folder / f"{case_id}.png", folder / f"{case_id}_mask.png" if labelled else None)
    return case, ProbabilityMap(values, frame)


def score(case_id, dice_parts=(5, 5, 5), name="object"):
    return CaseScore(case_id, name, Confusion(*dice_parts), 3.5, 2.5, ObjectCounts(3, 2, 1))


@pytest.fixture
def reader():
    return build_reader(load_cfg())


def test_every_product_has_a_path_of_its_own():
    results = Results(Path("out"))
    kinds = (
        results.probabilities,
        results.cleaned,
        results.mask,
        results.run_lengths,
        results.ome,
        results.geojson,
        results.objects,
        results.preview,
        results.overlay,
        results.triptych,
        results.tissue,
        results.errors,
    )
    paths = {kind(case_id) for kind in kinds for case_id in ("a", "b", "a.b", "a_cleaned", "1")}
    assert len(paths) == len(kinds) * 5
    assert all(Path("out") in path.parents for path in paths)


def test_a_labelled_case_is_scored_and_drawn(tmp_path, reader):
    case, probabilities = make_case(tmp_path / "in")
    results = Results(tmp_path / "out")
    (found,) = evaluate_case(case, reader, probabilities, 0.5, results, 64)
    assert found.id == "a"
    assert found.confusion.false_positive <= 16 * 2  # the outline of the smaller map
    assert found.confusion.recall == pytest.approx(0.5, abs=0.05)
    assert results.errors("a").is_file()
    with Image.open(results.overlay("a")) as overlay, Image.open(results.triptych("a")) as triptych:
        assert max(overlay.size) == 64
        assert triptych.format == "PNG"


def test_an_unlabelled_case_is_drawn_but_not_scored(tmp_path, reader):
    case, probabilities = make_case(tmp_path / "in", labelled=False)
    results = Results(tmp_path / "out")
    assert evaluate_case(case, reader, probabilities, 0.5, results, 64) == []
    assert results.overlay("a").is_file()
    assert not results.errors("a").exists()
    assert not results.triptych("a").exists()


def test_labels_of_another_size_are_refused(tmp_path, reader):
    case, probabilities = make_case(tmp_path / "in")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(case.labels)
    with pytest.raises(SourceError, match="a_mask"):
        evaluate_case(case, reader, probabilities, 0.5, Results(tmp_path / "out"), 64)


def test_scores_are_a_line_a_case_and_a_pooled_line(tmp_path):
    write_scores(tmp_path / "scores.csv", [score("001"), score("NA", (5, 0, 0))], ["object"])
    table = pd.read_csv(tmp_path / "scores.csv", dtype=str, keep_default_na=False)
    assert list(table) == SCORE_COLUMNS
    assert table["id"].tolist() == ["001", "NA", "(pooled)"]
    assert table["dice"].tolist() == ["0.5", "1", "0.666667"]
    assert table["hausdorff"].tolist() == ["3.5", "3.5", ""]
    assert table["objects_true"].tolist() == ["3", "3", "6"]


def report(tmp_path, ids, scores=(), failures=(), **options):
    results = Results(tmp_path)
    for case_id in ids:
        results.overlay(case_id).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(results.overlay(case_id))
    page = write_results_report(
        results, "Title", ids, list(scores), ["object"], MaskRule(0.42), list(failures), "A: <b>", **options
    )
    return page.read_text(encoding="utf-8")


def test_the_report_needs_no_network(tmp_path):
    html = report(tmp_path, ["a"], [score("a")])
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", html)
    assert "@import" not in html
    assert not re.search(r"<(?:script|link|iframe)[^>]+(?:src|href)=", html)


def test_the_report_names_scores_failures_threshold_and_config(tmp_path):
    html = report(tmp_path, ["a", "b"], [score("a"), score("b")], [Failure("<bad>", "bad.tif", "is no readable TIFF")])
    for text in ("0.500", "0.420", "&lt;bad&gt;", "is no readable TIFF", "A: &lt;b&gt;", "(pooled)", "b, Dice 0.500"):
        assert text in html, text


def test_the_report_shows_the_worst_cases_where_there_are_many(tmp_path):
    scores = [score(f"case{number:02d}", (number, 30 - number, 30)) for number in range(30)]
    html = report(tmp_path, [each.id for each in scores], scores)
    assert "case00, Dice 0.000" in html
    assert "case23, Dice" in html
    assert "case24, Dice" not in html
    assert "24 of lowest Dice" in html


@pytest.mark.parametrize("failures", [[], [Failure("a", "a.tif", "is damaged")]])
def test_without_a_case_the_report_says_so(tmp_path, failures):
    assert "No case was predicted" in report(tmp_path, [], [], failures)


def test_without_labels_the_report_has_pictures_and_no_scores(tmp_path):
    html = report(tmp_path, ["a"])
    assert "Dice" not in html
    assert "data:image" in html


def test_the_report_links_to_the_files_beside_it_and_to_no_others(tmp_path):
    results = Results(tmp_path)
    results.mask("a b").parent.mkdir()
    results.mask("a b").write_bytes(b"")
    results.geojson("c").parent.mkdir()
    results.geojson("c").with_suffix(".geojson.gz").write_bytes(b"")
    html = report(tmp_path, ["a b", "c"])
    links = re.findall(r'<a href="([^"#]+)">', html)
    assert sorted(links) == ["geojson/c.geojson.gz", "masks/a%20b.tiff", "overlays/a%20b.jpg", "overlays/c.jpg"]
    assert "previews" not in html


def test_several_classes_are_told_apart_by_colour_and_not_truth_and_prediction(tmp_path):
    results = Results(tmp_path)
    results.overlay("a").parent.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(results.overlay("a"))
    page = write_results_report(
        results, "Title", ["a"], [score("a")], ["x", "y"], MaskRule((0.5, 0.7), 0.3, 30), [], ""
    )
    html = page.read_text(encoding="utf-8")
    for text in (
        "slim lines: prediction",
        "threshold, x",
        "0.700",
        "objects reach down to",
        "0.300",
        "objects from, px",
    ):
        assert text in html
    assert "holes filled" not in html


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (1, ["best: 0, Dice 1.000"]),
        (2, ["best: 0, Dice 1.000", "worst: 1, Dice 0.667"]),
        (5, ["best: 0, Dice 1.000", "median: 2, Dice 0.500", "worst: 4, Dice 0.333"]),
    ],
)
def test_the_report_shows_the_errors_of_the_best_the_median_and_the_worst_case(tmp_path, count, wanted):
    results, ids = Results(tmp_path), [str(number) for number in range(count)]
    results.errors("0").parent.mkdir()
    for case_id in ids:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(results.errors(case_id))
    scores = [score(case_id, (2, int(case_id), int(case_id))) for case_id in ids]
    html = report(tmp_path, ids, scores)
    found = re.findall(r"(?:best|median|worst): \d, Dice [\d.]+", html)
    assert list(dict.fromkeys(found)) == wanted


def volume_case(folder):
    """A volume with two boxes of labels, a map that finds one of them, and what opens both."""
    truth = np.zeros((12, 20, 24), np.uint8)
    truth[3:9, 4:10, 4:10], truth[3:9, 12:18, 14:20] = 1, 2
    image = ArraySource(60.0 + 40 * truth[..., None].astype(np.float32), (2000.0, 1000.0, 1000.0))
    frame = Frame((0, 0, 0), truth.shape, truth.shape, ("front", "back"), image.spacing_um)
    values = np.stack([truth == 1, np.zeros_like(truth)]) * np.uint8(255)

    class Reader:
        classes = ("front", "back")

        def open_image(self, case):
            return image

        @contextmanager
        def open_both(self, case):
            yield image, ArraySource(truth[..., None])

    return Case("a", folder / "a.nii.gz", folder / "a_mask.nii.gz"), ProbabilityMap(values, frame), Reader()


def test_a_volume_is_scored_drawn_and_reported_by_class(tmp_path):
    case, probabilities, reader = volume_case(tmp_path)
    results = Results(tmp_path)
    scores = evaluate_case(case, reader, probabilities, 0.5, results, 400, 1000.0)
    assert [each.confusion.dice for each in scores] == [1, 0]
    assert [each.surface.dice for each in scores] == [1, 0]
    with Image.open(results.overlay("a")) as overlay, Image.open(results.errors("a")) as errors:
        assert overlay.size[0] > 2 * overlay.size[1] * 0.8  # three views beside one another
        assert errors.size[0] == overlay.size[0]
    write_scores(tmp_path / "scores.csv", scores, reader.classes)
    table = pd.read_csv(tmp_path / "scores.csv", dtype=str, keep_default_na=False)
    assert list(table) == VOLUME_COLUMNS
    assert table["id"].tolist() == ["a", "a", "(mean)", "(mean)", "(pooled)", "(pooled)"]
    assert table["hausdorff95_mm"].tolist()[:2] == ["0", "inf"]
    page = write_results_report(results, "Title", ["a"], scores, reader.classes, MaskRule(0.5), [], "")
    html = page.read_text(encoding="utf-8")
    for text in ("Dice by class", "surface_dice", "Dice, mean of cases and classes", "(mean)"):
        assert text in html, text
    assert results.dice_by_class.is_file()


def test_a_volume_without_labels_is_drawn(tmp_path):
    case, probabilities, reader = volume_case(tmp_path)
    results = Results(tmp_path)
    assert evaluate_case(replace(case, labels=None), reader, probabilities, 0.5, results, 400) == []
    assert results.overlay("a").is_file()
