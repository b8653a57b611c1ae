import numpy as np
import pytest
from PIL import Image

from docs.make_corrections import main


@pytest.mark.slow
def test_the_picture_of_the_loop_is_what_the_script_makes(tmp_path):
    assert main([str(tmp_path / "corrections.jpg")]) == 0
    with Image.open(tmp_path / "corrections.jpg") as new, Image.open("docs/pictures/corrections.jpg") as kept:
        assert np.abs(np.asarray(new, int) - np.asarray(kept, int)).mean() < 2
