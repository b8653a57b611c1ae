import pytest

from apps import demo


@pytest.mark.slow
def test_the_demo_ends_with_dice_and_report_in_one_epoch(tmp_path, capsys):
    slides, out = tmp_path / "slides", tmp_path / "out"
    paths = {
        "OUTPUT_DIR": out / "train",
        "DATASETS.WSI_FOLDER": slides,
        "DATASETS.LABELS_CSV": slides / "labels.csv",
        "DATASETS.ID_CSV": slides / "ids.csv",
        "DATASETS.TRAIN_FOLDER": out / "tiles",
        "TEST.WSI_FOLDER": slides,
        "TEST.LABELS_CSV": slides / "labels.csv",
        "TEST.OUTPUT_DIR": out / "test",
    }
    options = [str(word) for pair in paths.items() for word in pair]
    small = ["TILES.REDUCTION", "16", "INPUT.SIZE_TRAIN", "64", "SOLVER.EPOCHS", "1", "SOLVER.NUM_WORKERS", "0"]
    assert demo.main([*options, *small]) == 0
    *_, dice, report = capsys.readouterr().out.strip().splitlines()
    assert dice.startswith("Dice 0.") or dice == "Dice 1.00"
    assert report == str(out / "test" / "report.html")
    assert (out / "test" / "masks" / "demo08.tiff").exists()
