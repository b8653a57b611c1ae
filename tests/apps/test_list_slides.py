import pytest

from apps.list_slides import main
from data.cases import list_test_cases
from tests.slides import make_cfg, noise, write_ome
from tests.vendor_slides import write_dicom, write_svs
from utils.tables import read_table


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    write_svs(folder / "a.svs", [noise(64, 96, 3)], spacing_um=0.499)
    write_ome(folder / "b.ome.tif", noise(64, 96, 3), levels=2)
    write_dicom(folder / "c", [noise(70, 64, 3)], spacing_um=0.25)
    write_svs(folder / "d.svs", [noise(64, 64, 3)], spacing_um=None)
    return folder


def test_every_slide_is_a_row_with_its_size_and_pixel_size(slides, tmp_path, capsys):
    assert main([str(slides), str(tmp_path / "ids.csv")]) == 0
    rows = read_table(tmp_path / "ids.csv", ["id"])
    assert rows.to_numpy().tolist() == [
        ["a", "a.svs", "64", "96", "3", "1", "0.499"],
        ["b", "b.ome.tif", "64", "96", "3", "2", "0.5"],
        ["c", "1.2.3.1.dcm", "70", "64", "3", "1", "0.25"],
        ["d", "d.svs", "64", "64", "3", "1", ""],
    ]
    assert "4 slides" in capsys.readouterr().out


def test_the_table_serves_as_the_table_of_ids_and_pixel_sizes(slides, tmp_path):
    main([str(slides), str(tmp_path / "ids.csv")])
    text = (tmp_path / "ids.csv").read_text(encoding="utf-8")
    (tmp_path / "ids.csv").write_text(text.rstrip("\n") + "0.75\n", encoding="utf-8")
    table = list_test_cases(make_cfg(TEST_WSI_FOLDER=str(slides), DATASETS_ID_CSV=str(tmp_path / "ids.csv")))
    assert {case.id: case.spacing_um for case in table.cases} == {"a": 0.499, "b": 0.5, "c": 0.25, "d": 0.75}


def test_what_cannot_be_read_is_named_and_the_others_are_listed(slides, tmp_path, caplog):
    (slides / "bad.mrxs").write_bytes(b"")
    (slides / "loose.dcm").write_bytes(b"")
    assert main([str(slides), str(tmp_path / "ids.csv")]) == 1
    assert len(read_table(tmp_path / "ids.csv", ["id"])) == 4
    assert "bad.mrxs" in caplog.text
    assert "loose.dcm" in caplog.text


def test_a_missing_folder_is_a_mistake(tmp_path, capsys):
    assert main([str(tmp_path / "none"), str(tmp_path / "ids.csv")]) == 2
    assert "is no folder" in capsys.readouterr().err
