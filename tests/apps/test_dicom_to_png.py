import numpy as np
import pytest
from PIL import Image

from apps.dicom_to_png import main
from tests.data.sources.test_dicom import write_dicom
from tests.slides import noise
from utils.tables import read_table


@pytest.fixture
def scans(tmp_path):
    """A tree of two patients with a file under the name that a scanner gives, and what is no picture."""
    grey, colour = noise(20, 31), noise(12, 9, 3)
    for folder in ("p1/us", "p2"):
        (tmp_path / "scans" / folder).mkdir(parents=True)
    write_dicom(tmp_path / "scans" / "p1" / "us" / "a.dcm", grey)
    write_dicom(tmp_path / "scans" / "p2" / "1.2.840.7", colour)
    write_dicom(tmp_path / "scans" / "DICOMDIR", grey)
    (tmp_path / "scans" / "notes.txt").write_text("no picture")
    return tmp_path / "scans", tmp_path / "png", grey, colour


def convert(source, target):
    code = main([str(source), str(target)])
    pictures = sorted(path for path in target.rglob("*.png")) if target.exists() else []
    return code, [path.relative_to(target).as_posix() for path in pictures]


def test_a_tree_of_dicom_becomes_the_same_tree_of_png(scans, capsys):
    source, target, grey, colour = scans
    assert convert(source, target) == (0, ["p1/us/a.png", "p2/1.2.840.7.png"])
    np.testing.assert_array_equal(np.asarray(Image.open(target / "p1" / "us" / "a.png")), grey)
    np.testing.assert_array_equal(np.asarray(Image.open(target / "p2" / "1.2.840.7.png")), colour)
    assert "2 pictures of 2 DICOM files" in capsys.readouterr().out
    assert len(read_table(target / "failures.csv", ["id"])) == 0


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(scans, caplog):
    source, target, _, _ = scans
    (source / "p1" / "broken.dcm").write_bytes(b"no DICOM")
    whole = (source / "p1" / "us" / "a.dcm").read_bytes()
    (source / "p1" / "cut.dcm").write_bytes(whole[:-200])
    assert convert(source, target) == (1, ["p1/us/a.png", "p2/1.2.840.7.png"])
    assert list(read_table(target / "failures.csv", ["id"])["id"]) == ["p1/broken.dcm", "p1/cut.dcm"]
    assert "broken.dcm" in caplog.text


def test_a_loop_becomes_a_folder_of_its_frames(scans):
    source, target, _, _ = scans
    frames = np.stack([noise(10, 14, seed=number) for number in range(3)])
    write_dicom(source / "p1" / "loop.dcm", frames, NumberOfFrames=3, Rows=10, Columns=14,
                SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")  # fmt: skip
    code, found = convert(source, target)
    assert code == 0
    assert found[:3] == ["p1/loop/0001.png", "p1/loop/0002.png", "p1/loop/0003.png"]
    for number, frame in enumerate(frames, start=1):
        np.testing.assert_array_equal(np.asarray(Image.open(target / "p1" / "loop" / f"{number:04}.png")), frame)


def test_no_two_files_share_a_picture(scans):
    source, target, grey, _ = scans
    write_dicom(source / "p1" / "us" / "a", grey[::-1].copy())
    (source / "p2" / "b").mkdir()
    write_dicom(source / "p2" / "b" / "0001.dcm", grey)
    write_dicom(source / "p2" / "b.dcm", grey)
    code, found = convert(source, target)
    assert code == 0
    assert found == ["p1/us/a.dcm.png", "p1/us/a.png", "p2/1.2.840.7.png", "p2/b/0001.png", "p2/b.dcm.png"]


def test_the_same_files_give_the_same_bytes(scans, tmp_path):
    source, target, _, _ = scans
    convert(source, target)
    convert(source, tmp_path / "again")
    for path in target.rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(target)).read_bytes()


def test_folders_that_cannot_work_are_mistakes_of_the_call(scans, tmp_path, capsys):
    source, target, _, _ = scans
    (tmp_path / "empty").mkdir()
    wrong = [(tmp_path / "none", target), (source, source / "png"), (source, source), (tmp_path / "empty", target)]
    assert [main([str(one), str(other)]) for one, other in wrong] == [2, 2, 2, 2]
    told = capsys.readouterr().err
    assert all(part in told for part in ("is no folder", "choose a folder outside of it", "holds no DICOM file"))
    assert not target.exists()
