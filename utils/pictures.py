"""Pictures in files that are whole or an error."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def save_picture(path: Path, pixels: np.ndarray, **options: int) -> None:
    """Write pixels (rows, columns, 3) uint8 in the format of the ending.

    Pillow itself takes no notice of a disk that has room for only a part.
    """
    file = BytesIO()
    Image.init()
    Image.fromarray(pixels).save(file, Image.EXTENSION[path.suffix.lower()], **options)
    path.write_bytes(file.getbuffer())
