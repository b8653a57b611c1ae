import numpy as np
import pytest

from benchmarks import volumes
from data.patches.grid import whole
from data.sources.intensity import IntensityRule
from data.sources.volume import VolumeSource


def test_the_ct_is_a_ball_of_tissue_in_air(tmp_path):
    volumes.write_ct(tmp_path / "ct.nii", (20, 30, 40))
    with VolumeSource(tmp_path / "ct.nii", IntensityRule("window", (-1000.0, 100.0))) as source:
        assert source.shape == (20, 30, 40)
        assert source.spacing_um == (1000.0, 700.0, 700.0)
        tissue = source.read(whole(source.shape))[..., 0] > 128
    assert tissue[10, 15, 20]
    assert not tissue[0].any()
    assert tissue.mean() == pytest.approx(4 / 3 * np.pi * volumes.RADIUS**3, rel=0.1)


@pytest.mark.slow
def test_a_ct_is_predicted_and_both_windows_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes, "WINDOW", (32, 32, 32))
    volumes.write_ct(tmp_path / "ct.nii", (40, 60, 60))
    assert set(volumes.predict_ct(tmp_path / "ct.nii")) == {"predict_s", "write_s"}
    found = volumes.compare(64, 1)
    assert len(found["ours"]) == len(found["monai"]) == 1
    assert found["levels_apart"] < 0.5
