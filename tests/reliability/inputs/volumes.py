"""Volumes that are damaged, that claim too much, or that point at other files."""

import gzip
import os
import zlib
from collections.abc import Callable

import numpy as np

from tests.reliability.room import Room
from tests.reliability.room_volumes import AFFINE, SHAPE, draw_volume, image_path
from tests.volumes import oblique, patch, write_itk, write_nifti, write_series

DIM, DATATYPE, PIXDIM, VOX_OFFSET, QFORM, SFORM = 40, 70, 76, 108, 252, 254  # places in a NIfTI header
SROW = 280


def good(room: Room, suffix: str) -> Callable[[Room], str]:
    """A third good volume, in another format, with the voxels of the first."""
    (write_nifti if "nii" in suffix else write_itk)(image_path(room, suffix=suffix), draw_volume(0)[0], AFFINE)
    return _same_as_left


def value(room: Room, wrong: float) -> None:
    """A voxel that is no number."""
    image = draw_volume(2)[0].astype(np.float32)
    image[3, 4, 5] = wrong
    write_nifti(image_path(room), image, AFFINE)


def affine(room: Room, wrong: float) -> None:
    """An affine all of one value."""
    _write(room)
    header(room, SFORM, "int16", 1)
    header(room, SROW, "float32", *[wrong] * 12)


def header(room: Room, place: int, kind: str, *values: float) -> None:
    """A volume with other bytes in its header."""
    if not image_path(room).exists():
        _write(room)
    patch(image_path(room), place, np.array(values, kind))


def header_of(room: Room, place: int, kind: str, values: list[float]) -> None:
    """The same, from a row."""
    header(room, place, kind, *values)


def time(room: Room) -> None:
    """A volume of four axes."""
    image = draw_volume(2)[0]
    write_nifti(image_path(room), np.stack([image, image], -1), AFFINE)


def colours(room: Room) -> None:
    """A volume of red, green and blue."""
    write_nifti(image_path(room), np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE)


def text(room: Room, suffix: str, content: str) -> None:
    """Some text under the name of a volume."""
    image_path(room, suffix=suffix).write_text(content)


def cut(room: Room, suffix: str) -> None:
    """The first half of a file."""
    good(room, suffix)
    path = image_path(room, suffix=suffix)
    os.truncate(path, path.stat().st_size // 2)


def damaged_gzip(room: Room) -> None:
    """A wrong checksum."""
    _write(room)
    path = image_path(room)
    content = bytearray(path.read_bytes())
    content[-8:-4] = (zlib.crc32(content) ^ 1).to_bytes(4, "little")
    path.write_bytes(content)


def bomb(room: Room) -> None:
    """A small file that unpacks to a gigabyte before the first voxel."""
    _write(room)
    content = bytearray(gzip.decompress(image_path(room).read_bytes()))
    content[VOX_OFFSET : VOX_OFFSET + 4] = np.float32(2**30).tobytes()
    packer = zlib.compressobj(wbits=31)
    with image_path(room).open("wb") as file:
        file.write(packer.compress(bytes(content[:352])))
        for _ in range(2**6):
            file.write(packer.compress(bytes(2**24)))
        file.write(packer.flush())


def masked(room: Room, mask: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """A volume with a mask."""
    for folder, array, place in (("imagesTr", draw_volume(2)[0], AFFINE), ("labelsTr", mask, affine)):
        (room.slides / folder).mkdir()
        write_nifti(room.slides / folder / "odd.nii.gz", array, place)


def mask_shape(room: Room) -> None:
    """A mask of another shape."""
    masked(room, draw_volume(2)[1][:-1])


def mask_spacing(room: Room) -> None:
    """A mask of other voxels."""
    masked(room, draw_volume(2)[1], np.diag([1.0, 1.0, 3.0, 1.0]))


def mask_affine(room: Room) -> None:
    """A mask that is turned."""
    masked(room, draw_volume(2)[1], oblique())


def mask_value(room: Room, wrong: int) -> None:
    """A mask with a value that is no class."""
    mask = draw_volume(2)[1]
    mask[0, 0, 0] = wrong
    masked(room, mask)


def mask_fraction(room: Room) -> None:
    """A mask of fractions."""
    masked(room, draw_volume(2)[1].astype(np.float32) * 0.5)


def outside(room: Room, suffix: str, location: str) -> None:
    """A header whose voxels lie in another file, which is there and large enough."""
    target = room.slides / "imagesTs" / location if not os.path.isabs(location) else None
    if target:
        target.write_bytes(draw_volume(0)[0].tobytes("F"))
    sizes, spaces = " ".join(map(str, SHAPE)), "(1,0,0) (0,1,0) (0,0,2)"
    nrrd = f"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
    nrrd += (
        f"space directions: {spaces}\nendian: little\nencoding: raw\nspace origin: (0,0,0)\ndata file: {location}\n\n"
    )
    meta = f"ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nElementType = MET_SHORT\nElementDataFile = {location}\n"
    image_path(room, suffix=suffix).write_text(nrrd if suffix == ".nrrd" else meta)


def claim(room: Room, suffix: str, side: int) -> None:
    """A header of so many voxels a side, with a few bytes behind it."""
    sizes = f"{side} {side} {side}"
    nrrd = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: gzip\n\n"
    meta = f"ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    head = nrrd if suffix == ".nrrd" else meta
    image_path(room, suffix=suffix).write_bytes(head.encode() + gzip.compress(bytes(1000)))


def slices(room: Room, **elements: object) -> None:
    """A third folder of slices, with other elements in every header."""
    write_series(room.slides / "odd", draw_volume(2)[0], AFFINE, **elements)


def slices_of(room: Room, elements: dict[str, object]) -> None:
    """The same, from a row."""
    slices(room, **elements)


def good_slices(room: Room) -> Callable[[Room], str]:
    """A third folder with the slices of the first."""
    write_series(room.slides / "odd", draw_volume(0)[0], AFFINE)
    return _same_as_left


def doubled_slice(room: Room) -> None:
    """A slice twice."""
    slices(room)
    first = _slice(room, 4)
    first.with_name("again.dcm").write_bytes(first.read_bytes())


def lost_slice(room: Room) -> None:
    """A slice less."""
    slices(room)
    _slice(room, 4).unlink()


def cut_slice(room: Room) -> None:
    """Half a slice."""
    slices(room)
    os.truncate(_slice(room, 4), _slice(room, 4).stat().st_size - 100)


def text_slice(room: Room) -> None:
    """A text among the slices."""
    slices(room)
    _slice(room, 4).write_text("no picture")


def no_slice(room: Room) -> None:
    """A folder in which nothing is DICOM."""
    (room.slides / "odd").mkdir()
    (room.slides / "odd" / "notes.dcm").touch()


def syntax_of_good(room: Room, uid: str) -> Callable[[Room], str]:
    """The same, of which the pixels can be told all the same."""
    syntax(room, uid)
    return _same_as_left


def syntax(room: Room, uid: str) -> None:
    """A slice of a good series says a transfer syntax in which it is not."""
    good_slices(room)
    path = _slice(room, 4)
    content, mark = path.read_bytes(), b"\x02\x00\x10\x00UI"
    place, new = content.index(mark) + len(mark), uid.encode() + b"\0" * (len(uid) % 2)
    old = int.from_bytes(content[place : place + 2], "little")
    rest = len(new).to_bytes(2, "little") + new + content[place + 2 + old :]
    group = int.from_bytes(content[140:144], "little") + len(new) - old
    path.write_bytes(content[:140] + group.to_bytes(4, "little") + content[144:place] + rest)


def _slice(room: Room, number: int):
    return next((room.slides / "odd").glob(f"*_{number}.dcm"))


def _write(room: Room) -> None:
    write_nifti(image_path(room), draw_volume(2)[0], AFFINE)


def _same_as_left(room: Room) -> str:
    """Whether the mask is voxel by voxel that of the same voxels in the good format."""
    import nibabel

    odd, left = (next(room.out.rglob(f"{name}.nii.gz"), None) for name in ("odd", "left"))
    if odd is None or left is None:
        return "there is no mask"
    one, other = nibabel.load(odd), nibabel.load(left)
    same = np.array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj)) and np.allclose(one.affine, other.affine)
    return "" if same and np.asarray(one.dataobj).any() else "another mask than of the same voxels in NIfTI"
