"""Files that are sent or laid down as pictures: some odd and good, others damaged, hostile or none."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.pictures import draw_disc
from tests.reliability.room import ODD, Room

DISC = draw_disc((91, 133))
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYCZT" Type="uint8" SizeX="133" SizeY="91" SizeC="3" SizeZ="1" SizeT="1"><Channel ID="c" '
    'SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="100000000000"/></Pixels></Image></OME>'
)


OTHER = OME.replace(
    'PlaneCount="100000000000"/>', 'PlaneCount="1"><UUID FileName="/etc/a.tif">urn:uuid:1</UUID></TiffData>'
)
OTHER = OTHER.replace("<OME ", '<OME UUID="urn:uuid:2" ', 1)


def encode(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF as tifffile writes it."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "rgb", "metadata": None, **options})
    return file.getvalue()


def claiming(rows: int, columns: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    content = bytearray(encode(DISC[:8, :8]))
    content[16:24] = struct.pack(">II", columns, rows)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def long_text() -> bytes:
    """A PNG with a text that unpacks to 50 MB."""
    text = PngInfo()
    text.add_text("a", "x" * 50_000_000, zip=True)
    return encode(DISC, pnginfo=text)


def moving(kind: str, count: int) -> bytes:
    """A picture of many frames."""
    first, *others = (Image.fromarray(np.roll(DISC, shift, axis=0)) for shift in range(count))
    return encode(first, kind, save_all=True, append_images=others)


def pages(count: int) -> bytes:
    """A TIFF of so many pages of two widths, 100 bytes each."""
    tags, parts = (
        [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 8)],
        [b"II*\0\x08\0\0\0"],
    )
    size, place = 2 + 12 * len(tags) + 4, 8
    for number in range(count):
        tags[0], place = (256, 16 + number % 2), place + size
        lines = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        parts.append(struct.pack("<H", len(tags)) + lines + struct.pack("<I", place if number < count - 1 else 0))
    return b"".join(parts)


def with_width(tag: bytes) -> bytes:
    """A TIFF with another tag for its width."""
    content = tiff(DISC)
    place = content.index(struct.pack("<HHI", 256, 4, 1))
    return content[:place] + tag + content[place + len(tag) :]


def slip() -> bytes:
    """An archive of DICOM files one of which would be unpacked elsewhere."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../../slipped.dcm", bytes(128) + b"DICM")
    return file.getvalue()


def dicom(**elements: object) -> bytes:
    """A DICOM picture with other elements; None leaves one out."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    good = {"Rows": 91, "Columns": 133, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8,
            "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "PlanarConfiguration": 0,
            "PixelData": DISC.tobytes() + b"\0"}  # fmt: skip
    dataset = Dataset()
    dataset.file_meta = meta
    for name, value in {**good, **elements}.items():
        if value is not None:
            setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def file(room: Room, kind: str, suffix: str = ".png") -> None:
    """One of CONTENTS beside the good ones."""
    room.slide(suffix=suffix).write_bytes(CONTENTS[kind]())


def good(room: Room, kind: str, suffix: str = ".png") -> Callable[[Room], str]:
    """One of CONTENTS whose mask must be that of the same pixels as a plain PNG."""
    file(room, kind, suffix)
    room.slide("plain").with_suffix(".png").write_bytes(encode(DISC))

    def check(room: Room) -> str:
        masks = [(room.out / f"{name}_mask.png").read_bytes() for name in (ODD, "plain")]
        return "" if masks[0] == masks[1] else "the mask is not that of the plain picture"

    return check


def bad_name(room: Room) -> None:
    """A damaged picture whose name is no UTF-8."""
    (room.slides / os.fsdecode(b"odd\xff.png")).write_bytes(b"no picture")


def link(room: Room) -> None:
    """A symbolic link to what is not there."""
    room.slide(suffix=".png").symlink_to("missing.png")


def pipe(room: Room) -> None:
    """A pipe to which nobody writes."""
    os.mkfifo(room.slide(suffix=".png"))


def folder(room: Room) -> None:
    """A folder under the name of a picture."""
    room.slide(suffix=".png").mkdir()


CONTENTS: dict[str, Callable[[], bytes]] = {
    "a good PNG": lambda: encode(DISC),
    "nothing": lambda: b"",
    "a text": lambda: b"not a picture\n",
    "a PDF": lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "an archive": slip,
    "a program": lambda: b"\x7fELF\x02\x01\x01" + bytes(57),
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (r) file\n",
    "a GIF of many frames": lambda: moving("GIF", 20),
    "a PNG of many frames": lambda: moving("PNG", 20),
    "half a PNG": lambda: encode(DISC)[:9000],
    "a PNG of 50000 x 50000": lambda: claiming(50_000, 50_000),
    "a PNG of 12000 x 12000": lambda: claiming(12_000, 12_000),
    "a PNG of zeros that is large unpacked": lambda: encode(np.zeros((3000, 3000, 3), np.uint8)),
    "a PNG with a text that is large unpacked": long_text,
    "a PNG of one row": lambda: encode(np.zeros((1, 900_000, 3), np.uint8)),
    "a PNG of one long row": lambda: encode(np.zeros((1, 2_000_000, 3), np.uint8)),
    "a TIFF of one large tile": lambda: tiff(DISC, tile=(4096, 4096), compression="zlib"),
    "a TIFF of 9000 pages": lambda: pages(9000),
    "a TIFF that claims planes": lambda: tiff(DISC, description=OME),
    "a TIFF that names another": lambda: tiff(DISC, description=OTHER),
    "a TIFF of no columns": lambda: with_width(struct.pack("<HHII", 256, 4, 1, 0)),
    "a TIFF of 16.5 columns": lambda: with_width(struct.pack("<HHIf", 256, 11, 1, 16.5)),
    "a TIFF of 16 bits": lambda: tiff(DISC.astype(np.uint16)),
    "half a TIFF": lambda: tiff(DISC)[:9000],
    "a BMP of 60000 x 60000": lambda: (
        encode(DISC, "BMP")[:18] + struct.pack("<iihh", 60_000, 60_000, 1, 24) + bytes(99)
    ),
    "a grey PNG of 16 bits": lambda: encode(DISC[..., 0].astype(np.uint16) * 16),
    "a colour PNG of 16 bits": lambda: imagecodecs.png_encode(DISC.astype(np.uint16) * 16),
    "a grey PNG": lambda: encode(DISC[..., 0]),
    "a PNG with a palette": lambda: encode(Image.fromarray(DISC).quantize(16)),
    "a PNG with alpha": lambda: encode(np.dstack([DISC, DISC[..., :1]])),
    "a PNG with damaged EXIF data": lambda: encode(DISC, exif=b"Exif\0\0XX*\0\xff\xff\xff\x7f"),
    "a PNG of 1 x 1": lambda: encode(DISC[:1, :1]),
    "a DICOM file": dicom,
    "a DICOM file without pixels": lambda: dicom(PixelData=None),
    "a DICOM file with half of its pixels": lambda: dicom(PixelData=DISC[:40].tobytes()),
    "a DICOM file of 65535 x 65535": lambda: dicom(Rows=65_535, Columns=65_535),
    "a DICOM file of no rows": lambda: dicom(Rows=0),
    "a DICOM file of many frames": lambda: dicom(NumberOfFrames=2_000_000_000),
}
