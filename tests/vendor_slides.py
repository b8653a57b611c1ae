"""Small slides in the formats of scanner makers, as openslide knows them, for the tests."""

import io
import struct

import numpy as np
import tifffile
from PIL import Image

from tests.slides import pyramid

APERIO = "Aperio Image Library v11.2.1 \r\n{columns}x{rows} [0,0 {columns}x{rows}] (64x64) JPEG/RGB Q=90|AppMag = 40"
LEICA = "http://www.leica-microsystems.com/scn/2010/10/01"
MIRAX = """[GENERAL]
SLIDE_ID = X1
IMAGENUMBER_X = {grid[1]}
IMAGENUMBER_Y = {grid[0]}
OBJECTIVE_MAGNIFICATION = 40
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 1
HIER_0_VAL_0_SECTION = LEVEL_0
[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
[LEVEL_0]
IMAGE_CONCAT_FACTOR = 0
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = {um}
MICROMETER_PER_PIXEL_Y = {um}
IMAGE_FILL_COLOR_BGR = {colour}
DIGITIZER_WIDTH = {columns}
DIGITIZER_HEIGHT = {rows}
IMAGE_FORMAT = PNG
"""
WHOLE_SLIDE_IMAGE, EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.1.2.1"


def write_svs(path, levels, spacing_um=0.25, **options):
    """An Aperio slide: tiled levels, a thumbnail behind the first of them, magnification and pixel size as text."""
    rows, columns = levels[0].shape[:2]
    mpp = f"|MPP = {spacing_um}" if spacing_um else ""
    shared = {"photometric": "rgb", "metadata": None, "description": APERIO.format(rows=rows, columns=columns) + mpp}
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            writer.write(level, tile=(64, 64), **shared, **({"compression": "jpeg"} | options))
            if number == 0:
                writer.write(levels[0][::8, ::8], rowsperstrip=16, **shared)


def write_scn(path, areas, slide_shape, spacing_um=0.5, levels=2):
    """A Leica slide on which some areas, {(row, column): pixels}, were scanned; the rest of it has no pixels."""
    overview = np.full((slide_shape[0] // 16, slide_shape[1] // 16, 3), 200, np.uint8)
    pictures = [((0, 0), slide_shape, [overview])]
    pictures += [(corner, pixels.shape[:2], pyramid(pixels, levels)) for corner, pixels in areas.items()]
    pages, images = [], ""
    for corner, shape, found in pictures:
        images += _leica_image(corner, shape, found, len(pages), round(1000 * spacing_um))
        pages += found
    sides = _leica_sides(slide_shape, round(1000 * spacing_um))
    text = f'<?xml version="1.0"?><scn xmlns="{LEICA}"><collection {sides}>{images}</collection></scn>'
    scale = {"resolution": (10_000 / spacing_um,) * 2, "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, page in enumerate(pages):
            description = text if number == 0 else None
            writer.write(page, photometric="rgb", tile=(64, 64), metadata=None, description=description, **scale)


def _leica_image(corner, shape, levels, first_page, nm):
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{number}" ifd="{first_page + number}"/>'
        for number, level in enumerate(levels)
    )
    return (
        f"<image><pixels>{dimensions}</pixels>"
        f'<view {_leica_sides(shape, nm)} offsetX="{corner[1] * nm}" offsetY="{corner[0] * nm}"/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
    )


def _leica_sides(shape, nm):
    return f'sizeX="{shape[1] * nm}" sizeY="{shape[0] * nm}"'


def write_dicom(folder, levels, spacing_um=0.25, series="1.2.3", tile=64):
    """A DICOM slide: a file of bare RGB tiles for each level."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, level in enumerate(levels):
        down = levels[0].shape[0] / level.shape[0]
        content = _dicom(level, f"{series}.{number + 1}", series, spacing_um * down, tile)
        (folder / f"{series}.{number + 1}.dcm").write_bytes(content)


def _dicom(pixels, instance, series, spacing_um, tile):
    meta = b"".join(
        [
            _element(0x0002, 0x0001, "OB", b"\0\1"),
            _element(0x0002, 0x0002, "UI", WHOLE_SLIDE_IMAGE),
            _element(0x0002, 0x0003, "UI", instance),
            _element(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN),
        ]
    )
    frames = [
        np.pad(part, ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0))).tobytes()
        for row in range(0, pixels.shape[0], tile)
        for column in range(0, pixels.shape[1], tile)
        for part in [pixels[row : row + tile, column : column + tile]]
    ]
    millimetres = f"{spacing_um / 1000:.10g}"
    measures = _sequence(0x0028, 0x9110, _element(0x0028, 0x0030, "DS", f"{millimetres}\\{millimetres}"))
    data = [
        _element(0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        _element(0x0008, 0x0016, "UI", WHOLE_SLIDE_IMAGE),
        _element(0x0008, 0x0018, "UI", instance),
        _element(0x0020, 0x000E, "UI", series),
        _element(0x0020, 0x9311, "CS", "TILED_FULL"),
        _element(0x0028, 0x0002, "US", 3),
        _element(0x0028, 0x0004, "CS", "RGB"),
        _element(0x0028, 0x0006, "US", 0),
        _element(0x0028, 0x0008, "IS", str(len(frames))),
        _element(0x0028, 0x0010, "US", tile),
        _element(0x0028, 0x0011, "US", tile),
        _element(0x0028, 0x0100, "US", 8),
        _element(0x0028, 0x0101, "US", 8),
        _element(0x0028, 0x0102, "US", 7),
        _element(0x0028, 0x0103, "US", 0),
        _element(0x0048, 0x0006, "UL", pixels.shape[1]),
        _element(0x0048, 0x0007, "UL", pixels.shape[0]),
        _sequence(0x5200, 0x9229, measures),
        _element(0x7FE0, 0x0010, "OB", b"".join(frames)),
    ]
    return bytes(128) + b"DICM" + _element(0x0002, 0x0000, "UL", len(meta)) + meta + b"".join(data)


def _element(group, number, kind, value):
    if kind in ("US", "UL"):
        value = struct.pack("<H" if kind == "US" else "<I", value)
    elif isinstance(value, str):
        value = value.encode() + (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    long = kind in ("OB", "SQ")
    head = struct.pack("<HH2s", group, number, kind.encode())
    return head + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value


def _sequence(group, number, content):
    return _element(group, number, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content)


def write_philips(path, levels, spacing_um=0.25):
    """A Philips TIFF: pixel sizes only in its XML, and levels that are padded to whole tiles."""
    millimetres = [spacing_um / 1000 * 2**number for number in range(len(levels))]
    spacings = [
        f'<Attribute Name="DICOM_PIXEL_SPACING">&quot;{mm}&quot; &quot;{mm}&quot;</Attribute>' for mm in millimetres
    ]
    parts = "".join(f'<DataObject ObjectType="PixelDataRepresentation">{each}</DataObject>' for each in spacings)
    sequence = f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{parts}</Array></Attribute>'
    kind = '<Attribute Name="PIM_DP_IMAGE_TYPE">WSI</Attribute>'
    image = f'<DataObject ObjectType="DPScannedImage">{kind}{spacings[0]}{sequence}</DataObject>'
    images = f'<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>{image}</Array></Attribute>'
    text = f'<?xml version="1.0" ?><DataObject ObjectType="DPUfsImport">{images}</DataObject>'
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            missing = [(0, -n % 64) for n in level.shape[:2]]
            pixels = np.pad(level, [*missing, (0, 0)])
            about = {"software": "Philips DP v1.0", "description": text} if number == 0 else {"subfiletype": 1}
            writer.write(pixels, photometric="rgb", tile=(64, 64), metadata=None, **about)


def write_ndpi(path, levels, spacing_um=0.5):
    """A Hamamatsu slide: a JPEG for each level, which halves the one before, and one of the whole glass."""
    pages = [*((level, 20.0 / 2**number) for number, level in enumerate(levels)), (levels[-1][::4, ::4], -1.0)]
    with tifffile.TiffWriter(path) as writer:
        for number, (pixels, lens) in enumerate(pages):
            scale = {"resolution": (10_000 / spacing_um / 2**number,) * 2, "resolutionunit": "CENTIMETER"}
            tags = [(65420, "H", 1, 1, True), (65421, "f", 1, lens, True)]
            tags += [(number, "i", 1, 0, True) for number in (65422, 65423, 65424)]  # where the scan lies on the glass
            shared = {"photometric": "rgb", "metadata": None, "extratags": tags, "compression": "jpeg"}
            writer.write(pixels, rowsperstrip=pixels.shape[0], **shared, **scale)


def write_mrxs(path, tiles, grid, spacing_um=0.25, fill=(250, 240, 230)):
    """A MIRAX slide of a grid of (rows, columns) tiles of one size, {(row, column): pixels}, of which some are missing.

    It has one level. The file of the slide's name is a mere picture; the slide lies in the folder beside it.
    """
    rows, columns = next(iter(tiles.values())).shape[:2]
    data, records = b"", b""
    for (row, column), pixels in sorted(tiles.items()):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        records += struct.pack("<4i", row * grid[1] + column, len(data), len(content.getvalue()), 0)
        data += content.getvalue()
    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(b"a picture of the glass")
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_mirax_index(len(tiles), records))
    colour = fill[0] | fill[1] << 8 | fill[2] << 16
    text = MIRAX.format(grid=grid, rows=rows, columns=columns, um=spacing_um, colour=colour)
    (folder / "Slidedat.ini").write_text(text, encoding="utf-8-sig")


def _mirax_index(count, records):
    """Version and id; where the list of levels is; of each level, where its page is; the page."""
    head = b"01.02" + b"X1"
    places = [len(head) + 8 + 4 * n for n in (0, 1, 3)]
    return head + struct.pack("<7i", places[0], 0, places[1], 0, places[2], count, 0) + records
