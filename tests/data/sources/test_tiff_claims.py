"""TIFF files that claim more than they hold."""

import struct
import time

import numpy as np
import pytest
import tifffile

from data.sources import SourceError, open_source
from tests.slides import noise

OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{root}>{body}</OME>'
IMAGE = (
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="17" SizeY="31" SizeC="3" '
    'SizeZ="{planes}" SizeT="1"><Channel ID="c" SamplesPerPixel="3"/>'
    "<TiffData {data}>{uuid}</TiffData></Pixels></Image>"
)


def ome(path, planes=1, data='IFD="0" PlaneCount="1"', uuid="", root="", more=""):
    """A small picture with OME metadata of our own."""
    text = OME.format(root=root, body=IMAGE.format(planes=planes, data=data, uuid=uuid) + more)
    image = noise(31, 17, 3)
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, description=text)
    return image


def refused(path, message):
    begun = time.monotonic()
    with pytest.raises(SourceError, match=message):
        open_source(path)
    assert time.monotonic() - begun < 5


MODULO = (
    '<StructuredAnnotations><a><b><c><ModuloAlongZ Start="0" End="1" Step="1e-9"/></c></b></a></StructuredAnnotations>'
)
CLAIMS = [{"planes": 10**10}, {"data": 'PlaneCount="1000000000"'}, {"data": 'FirstZ="2000000000"'}, {"more": MODULO}]


@pytest.mark.parametrize("claims", CLAIMS)
def test_planes_that_ome_metadata_claim_reserve_no_memory(tmp_path, claims):
    ome(tmp_path / "a.tif", **claims)
    refused(tmp_path / "a.tif", r"a\.tif claims \d{9,} planes in its OME metadata; at most 1000000 are read")


def test_no_file_is_opened_that_ome_metadata_name(tmp_path):
    tifffile.imwrite(tmp_path / "secret.tif", np.zeros((31, 17, 3), np.uint8), photometric="rgb")
    ome(tmp_path / "a.tif", root=' UUID="urn:uuid:1"', uuid=f'<UUID FileName="{tmp_path}/secret.tif">urn:uuid:2</UUID>')
    refused(tmp_path / "a.tif", r"a\.tif is one of several files of an OME image")


def test_a_file_of_ome_may_be_renamed(tmp_path):
    image = ome(tmp_path / "a.tif", uuid='<UUID FileName="before.ome.tif">urn:uuid:1</UUID>')
    with open_source(tmp_path / "a.tif") as source:
        assert source.shape == image.shape[:2]


@pytest.mark.parametrize("content", [struct.pack("<HHIf", 256, 11, 1, 16.0), struct.pack("<HHII", 256, 4, 1, 0)])
def test_a_width_that_is_none_is_refused(tmp_path, content):
    tifffile.imwrite(tmp_path / "a.tif", noise(16, 16, 3), photometric="rgb", metadata=None)
    written = (tmp_path / "a.tif").read_bytes()
    place = written.index(struct.pack("<HHI", 256, 4, 1))
    (tmp_path / "a.tif").write_bytes(written[:place] + content + written[place + 12 :])
    refused(tmp_path / "a.tif", r"a\.tif ")


def test_thousands_of_pages_are_refused_at_once(tmp_path):
    tags, content = (
        [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 8)],
        b"II*\0\x08\0\0\0",
    )
    for number in range(20_000):  # every second of another width, which took tifffile minutes to tell apart
        tags[0] = (256, 16 + number % 2)
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
        content += struct.pack("<I", len(content) + 4 if number < 19_999 else 0)
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", r"a\.tif has more than 1000 pages")
