from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import numpy as np
import pytest
from PIL import Image

from tests.slides import noise
from utils.pictures import save_picture


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp"])
def test_a_picture_is_the_one_that_pillow_writes(tmp_path, ending):
    pixels = noise(40, 30, 3)
    save_picture(tmp_path / f"own.{ending}", pixels)
    Image.fromarray(pixels).save(tmp_path / f"other.{ending}")
    assert (tmp_path / f"own.{ending}").read_bytes() == (tmp_path / f"other.{ending}").read_bytes()


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp"])
def test_a_picture_of_which_only_a_part_fits_is_an_error(tmp_path, ending):
    before = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_picture(tmp_path / f"own.{ending}", np.asarray(noise(40, 30, 3)))
    finally:
        setrlimit(RLIMIT_FSIZE, before)
