"""Volumes from file to file: test_net with a stub for the network."""

from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import test_net
from data.stitching.mask_rule import MaskRule
from model.network_options import NetworkOptions
from model.predictor import Member
from tests.cards import CARD
from tests.volumes import oblique, write_nifti

SHAPE = (14, 18, 11)
SPACING_MM = (1.0, 1.5, 2.5)
CARD_OF_VOLUMES = replace(
    CARD,
    in_channels=1,
    classes=("front", "back"),
    reduction=1.0,
    spacing_um=None,
    intensity=("window", 0.0, 100.0),
    patch=(16, 16, 8),
    network=NetworkOptions(axes=3),
)
OPTIONS = {
    "DATASETS.LAYOUT": "pairs",
    "DATASETS.CLASSES": "['front', 'back']",
    "INPUT.PATCH": "[16, 16, 8]",
    "MODEL.ARCHITECTURE": "monai-UNet",
    "MODEL.AXES": 3,
    "MODEL.IN_CHANNELS": 1,
    "TEST.BLEND": "gaussian",
    "TEST.GIF_AXIS": 1,
    "TEST.WRITE": "['tiff', 'rle', 'objects', 'nifti', 'gif']",
}


def network(patches):
    """Front where a voxel is of 40 to 60, back where it is above 80, of values 0 to 100."""
    assert patches.dtype == np.float32
    values = patches[:, 0] / 2.55
    return np.stack([(values > 40) & (values < 60), values > 80], 1).astype(np.float32)


def truth(seed):
    """Two boxes, and of the first class a voxel apart."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 3 + seed : 9 + seed, 2:7], mask[8:12, 4:15, 3:9], mask[13, 17, 10] = 1, 2, 1
    return mask


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run over some NIfTI volumes in oblique frames: what test_net returns, and the folder of its results."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number, axes in enumerate([(0, 1, 2), (2, 0, 1), (1, 2, 0)]):
        mask, affine = truth(number), oblique(axes, (1, -1, 1), SPACING_MM)
        write_nifti(tmp_path / "images" / f"v{number}.nii.gz", np.array([10, 50, 90], np.int16)[mask], affine)
        if number < 2:
            write_nifti(tmp_path / "masks" / f"v{number}.nii.gz", mask, affine)

    def make(**options):
        rule = MaskRule(0.5, largest=bool(options.get("TEST.LARGEST")))
        monkeypatch.setattr(test_net, "load_networks", lambda cfg: ([Member(network, CARD_OF_VOLUMES)], rule))
        monkeypatch.setattr("model.predictor.weight_files", lambda folder, engine: [])
        folders = {
            "TEST.WSI_FOLDER": tmp_path,
            "TEST.MODEL_WEIGHTS_FOLDER": tmp_path,
            "TEST.OUTPUT_DIR": tmp_path / "out",
        }
        words = [str(word) for pair in (OPTIONS | folders | options).items() for word in pair]
        return test_net.main(words), tmp_path / "out"

    return make


def load(path):
    return nibabel.load(path)


def test_volumes_become_masks_on_their_own_grid_films_scores_and_a_report(run, tmp_path):
    code, out = run()
    assert code == 0
    for number in range(3):
        found, image = load(out / "nifti" / f"v{number}.nii.gz"), load(tmp_path / "images" / f"v{number}.nii.gz")
        np.testing.assert_array_equal(np.asarray(found.dataobj), truth(number))
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
        with Image.open(out / "gifs" / f"v{number}.gif") as film:
            assert film.n_frames in SHAPE
    table = pd.read_csv(out / "scores.csv")
    assert table["id"].tolist() == ["v0", "v0", "v1", "v1", "(mean)", "(mean)", "(pooled)", "(pooled)"]
    assert (table["dice"] == 1).all()
    assert (table["surface_dice"] == 1).all()
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "Dice by class" in html
    assert 'href="nifti/v2.nii.gz"' in html


def test_products_of_pictures_are_left_out(run):
    _, out = run()
    left = {path.name for path in out.iterdir()}
    assert not left & {"masks", "rle", "objects", "output.csv", "objects.csv", "tissue"}


def test_the_same_run_gives_the_same_bytes(run):
    _, out = run()
    files = [path for folder in ("nifti", "gifs", "overlays", "errors") for path in sorted((out / folder).iterdir())]
    before = [path.read_bytes() for path in [*files, out / "dice_by_class.png", out / "scores.csv"]]
    run()
    assert [path.read_bytes() for path in [*files, out / "dice_by_class.png", out / "scores.csv"]] == before


def test_the_largest_object_alone_is_written_where_asked_for(run):
    _, out = run(**{"TEST.LARGEST": True})
    for number in range(2):
        wanted = truth(number)
        wanted[13, 17, 10] = 0
        np.testing.assert_array_equal(np.asarray(load(out / "nifti" / f"v{number}.nii.gz").dataobj), wanted)


def test_a_damaged_volume_does_not_stop_the_others(run, tmp_path):
    path = tmp_path / "images" / "v1.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    code, out = run()
    assert code != 0
    failures = pd.read_csv(out / "failures.csv")
    assert failures["id"].tolist() == ["v1"]
    assert sorted(each.name for each in (out / "nifti").iterdir()) == ["v0.nii.gz", "v2.nii.gz"]


def test_flips_of_a_volume_are_averaged_and_turned_back(run):
    code, out = run(**{"TEST.TTA": "flips"})
    assert code == 0
    np.testing.assert_array_equal(np.asarray(load(out / "nifti" / "v0.nii.gz").dataobj), truth(0))
