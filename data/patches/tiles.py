"""Tiles on disk: PNG pairs of image and mask, their index tiles.csv, and what the set is like in tiles.json."""

import errno
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BytesIO
from itertools import chain, groupby
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box, Grid, scale_box
from data.patches.kept import write_kept
from data.patches.scale import Scale, build_scale
from data.patches.statistics import PixelStatistics
from data.patches.tissue import KEEP_ALL, TissueRule, build_tissue_rule
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.levels import ensure_level
from data.sources.opening import CaseReader
from data.sources.source import ScaledSource, Source
from utils.atomic import sync_folder, write_bytes, write_text
from utils.colours import class_palette
from utils.tables import read_table, write_table
from utils.threads import Ahead, reader_count

log = logging.getLogger(__name__)

RUN_TILES = 8  # tiles that are read at once


@dataclass(frozen=True)
class TileRow:
    """A line of tiles.csv: the files' name, the case and its group, the place, and two fractions of the tile's area."""

    tile: str
    id: str
    group: str
    row_level0: int
    column_level0: int
    row_px: int
    column_px: int
    tissue: float
    foreground: float


@dataclass(frozen=True)
class TileFolder:
    """Where the tiles of one size and scale lie below the training folder, and how they are cut."""

    root: Path
    size: int
    scale: Scale
    overlap_px: int = 0
    tissue: TissueRule = KEEP_ALL
    has_shifted: bool = False

    @property
    def images(self) -> Path:
        """Folder of the image tiles and of the index."""
        return self._folder("images")

    @property
    def masks(self) -> Path:
        """Folder of the mask tiles."""
        return self._folder("masks")

    @property
    def index(self) -> Path:
        """The table of the tiles; while it is missing the set is incomplete."""
        return self.images / "tiles.csv"

    @property
    def card(self) -> Path:
        """Mean, standard deviation, classes and pixel size of the set, as JSON."""
        return self.images / "tiles.json"

    def kept(self, case_id: str) -> Path:
        """Picture of a case's tissue and tiles."""
        return self._folder("tissue") / f"{case_id}.jpg"

    def name(self, case_id: str, number: int) -> str:
        """File name of a tile."""
        between = "" if self.scale.reduction else "_"  # or the number would run into that of the microns
        return f"{case_id}_{number}{between}{self.scale.suffix}.png"

    def grids(self, shape: tuple[int, ...]) -> Iterator[Iterator[tuple[int, Box]]]:
        """Numbers and places of the tiles of an image of `shape`, grid by grid: one, or also the one between."""
        grid = Grid(shape, (self.size,) * 2, (self.overlap_px,) * 2)
        yield enumerate(grid)
        if self.has_shifted:
            yield enumerate(grid.between(), len(grid))

    def _folder(self, kind: str) -> Path:
        return self.root / f"{kind}_{self.size}_{self.scale.suffix}{'_shifted' * self.has_shifted}"


def build_tile_folder(cfg: CfgNode) -> TileFolder:
    """The tile folder of a config."""
    root = Path(cfg.DATASETS.TRAIN_FOLDER)
    tiles, tissue = cfg.TILES, build_tissue_rule(cfg)
    return TileFolder(root, cfg.INPUT.SIZE_TRAIN, build_scale(cfg), tiles.OVERLAP, tissue, tiles.SHIFTED_GRID)


def start_tiles(folder: TileFolder) -> None:
    """Make the folders and take away the index of an earlier set, which this run replaces."""
    folder.images.mkdir(parents=True, exist_ok=True)
    folder.masks.mkdir(parents=True, exist_ok=True)
    folder.index.unlink(missing_ok=True)


def cut_case(
    case: Case, reader: CaseReader, folder: TileFolder, statistics: PixelStatistics
) -> tuple[list[TileRow], float | None]:
    """Cut one case into tiles on disk; the rows of the index and the tiles' pixel size in um, if known.

    Kept are tiles with enough tissue and all with any foreground. Pixels are added to `statistics` once the whole
    case is cut, so that a case that fails adds nothing.
    """
    own = PixelStatistics()
    with reader.open_both(case) as (source, labels):
        shape = folder.scale.shape_of(source)
        spacing_um = max(source.spacing_um) * source.shape[0] / shape[0] if source.spacing_um else None
        with ensure_level(source, shape, folder.root) as levelled:
            cutter = _Cutter(case, levelled, ScaledLabels(labels, shape, len(reader.classes)), folder)
            rows = cutter.cut(own)
            cutter.draw(rows)
    statistics.add(own)
    return rows, spacing_um


class _Cutter:
    """Cuts one case: threads read, encode and write a few tiles at once; those on glass alone cost nothing."""

    def __init__(self, case: Case, source: Source, labels: ScaledLabels, folder: TileFolder):
        self.case = case
        self.labels = labels
        self.folder = folder
        self.view = ScaledSource(source, labels.shape)
        self.level0 = source.shape
        self.tissue = folder.tissue.find(source, case.id)

    def cut(self, statistics: PixelStatistics) -> list[TileRow]:
        """The rows of the tiles that are kept, in the order of the grid."""
        rows = []
        threads = reader_count()
        with Ahead(self._cut_run, self._runs(), threads, ahead=threads + 1) as cut:
            for _, result in cut:
                for row, pixels in result.result():
                    rows.append(row)
                    statistics.add(pixels)
        return rows

    def draw(self, rows: list[TileRow]) -> None:
        """Write the picture of the tissue and of the tiles that were kept."""
        boxes = [Box((row.row_px, row.column_px), (self.folder.size,) * 2) for row in rows]
        write_kept(self.folder.kept(self.case.id), self.tissue, boxes, self.labels.shape)

    def _runs(self) -> Iterator[list[tuple[int, Box]]]:
        """Tiles that may be kept, in runs along a row of the grid: read at once, they cost fewer steps."""
        for grid in self.folder.grids(self.labels.shape):
            for _, row in groupby(filter(self._may_be_kept, grid), key=lambda tile: tile[1].start[0]):
                run: list[tuple[int, Box]] = []
                for tile in row:
                    if run and (tile[0] > run[-1][0] + 1 or len(run) == RUN_TILES):
                        yield run
                        run = []
                    run.append(tile)
                yield run

    def _may_be_kept(self, tile: tuple[int, Box]) -> bool:
        _, box = tile
        return self._share(box) >= self.folder.tissue.min_fraction or not self.labels.is_empty(box)

    def _share(self, box: Box) -> float:
        return self.tissue.fraction(box, self.labels.shape) if self.tissue else 1.0

    def _cut_run(self, run: list[tuple[int, Box]]) -> list[tuple[TileRow, PixelStatistics]]:
        """Write the tiles of a run; of each that is kept its row and the sums of its pixels."""
        first, last = run[0][1], run[-1][1]
        area = Box(first.start, tuple(b - a for a, b in zip(first.start, last.stop, strict=True)))
        masks, images = padded_mask(self.labels, area), self.view.read(area)
        kept = []
        for number, box in run:
            place = box.seen_from(area.start).slices
            image = np.ascontiguousarray(images[place])
            row = self._write_tile(number, box, image, masks[place])
            if row is not None:
                statistics = PixelStatistics()
                statistics.add_pixels(image)
                kept.append((row, statistics))
        return kept

    def _write_tile(self, number: int, box: Box, image: np.ndarray, mask: np.ndarray) -> TileRow | None:
        """The row of a tile that was written, or None where it is not kept."""
        row = self._describe(number, box, mask[tuple(slice(0, n) for n in box.within(self.labels.shape).size)])
        if row.tissue < self.folder.tissue.min_fraction and not row.foreground:
            return None
        save_image(self.folder.images / row.tile, image)
        save_mask(self.folder.masks / row.tile, mask)
        return row

    def _describe(self, number: int, box: Box, mask: np.ndarray) -> TileRow:
        foreground = float(((mask > 0) & (mask != IGNORE)).mean())
        (row, column), (row_px, column_px) = scale_box(box, self.labels.shape, self.level0).start, box.start
        name, case = self.folder.name(self.case.id, number), self.case
        return TileRow(name, case.id, case.group, row, column, row_px, column_px, self._share(box), foreground)


def padded_mask(labels: ScaledLabels, box: Box) -> np.ndarray:
    """Class indices of a box; where it reaches past the image they are IGNORE, since those pixels are mirrored."""
    inside = box.within(labels.shape)
    mask = labels.read(inside)
    missing = [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
    return np.pad(mask, missing, constant_values=IGNORE) if inside.size != box.size else mask


def finish_tiles(folder: TileFolder, rows: list[TileRow], card: dict[str, object]) -> None:
    """Write tiles.json, then the index, and remove tiles of an earlier set that it does not name.

    The tiles are brought to disk first: whatever the index names is whole. Raises FileNotFoundError where a tile
    is gone meanwhile.
    """
    _require_tiles(folder, rows)
    sync_folder(folder.root)
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_table(folder.index, [asdict(row) for row in rows], list(TileRow.__dataclass_fields__))
    named = {row.tile for row in rows}
    own = f"*_*{folder.scale.suffix}.png"
    for path in (*folder.images.glob(own), *folder.masks.glob(own)):
        if path.name not in named:
            path.unlink()


def _require_tiles(folder: TileFolder, rows: list[TileRow]) -> None:
    for kind in (folder.images, folder.masks):
        there = {path.name for path in kind.iterdir()}
        gone = next((row.tile for row in rows if row.tile not in there), None)
        if gone:
            raise FileNotFoundError(errno.ENOENT, "this tile was removed while others were cut", str(kind / gone))


def read_tiles(folder: TileFolder) -> tuple[list[TileRow], dict]:
    """Index and card of a finished set; raises TableError where there is none."""
    table = read_table(folder.index, list(TileRow.__dataclass_fields__))
    kinds = TileRow.__annotations__
    rows = [TileRow(**{name: kinds[name](row[name]) for name in kinds}) for row in table.to_dict("records")]
    return rows, json.loads(folder.card.read_text(encoding="utf-8"))


def save_image(path: Path, pixels: np.ndarray) -> None:
    """Write an 8-bit image (rows, columns, 1 or 3) as PNG."""
    # Paeth's predictor and run lengths: as small as the usual search for repeats on stained tissue, in half of the time
    options = {"level": 1, "filter": imagecodecs.PNG.FILTER.PAETH, "strategy": imagecodecs.PNG.STRATEGY.RLE}
    flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    write_bytes(path, imagecodecs.png_encode(np.ascontiguousarray(flat), **options))


def save_mask(path: Path, classes: np.ndarray) -> None:
    """Write class indices (rows, columns) as PNG with a palette: the values stay, the eye sees colours."""
    lowest = int(classes.min())
    is_constant = lowest == classes.max()
    write_bytes(path, _constant_png(lowest, classes.shape) if is_constant else _palette_png(classes))


@lru_cache(maxsize=16)
def _constant_png(value: int, shape: tuple[int, ...]) -> bytes:
    return _palette_png(np.full(shape, value, np.uint8))


def _palette_png(classes: np.ndarray) -> bytes:
    image, file = Image.fromarray(classes), BytesIO()
    image.putpalette(bytes(chain.from_iterable(class_palette())))
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def load_image(path: Path) -> np.ndarray:
    """Pixels (rows, columns, channels) uint8 of a tile."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def load_mask(path: Path) -> np.ndarray:
    """Class indices (rows, columns) uint8 of a mask tile."""
    with Image.open(path) as image:
        return np.asarray(image)


def describe_set(
    folder: TileFolder, classes: list[str], statistics: PixelStatistics, spacings: Mapping[str, float | None]
) -> dict[str, object]:
    """The card of a tile set, from the pixel size in um of each case that was cut."""
    return {
        "cases": list(spacings),
        "classes": classes,
        "size": folder.size,
        "spacing_um": agreed_spacing(folder.scale, spacings),
        "mean": statistics.mean,
        "std": statistics.std,
    }


def agreed_spacing(scale: Scale, spacings: Mapping[str, float | None]) -> float | None:
    """The pixel size in um of all cases, or None where one is unknown or they differ by over 5 %."""
    known = [um for um in spacings.values() if um is not None]
    agree = len(known) == len(spacings) > 0 and max(known) <= 1.05 * min(known)
    if known and not (agree or scale.spacing_um):
        sizes = f"pixel sizes from {min(known):.3g} to {max(known):.3g} um" + " and unknown" * (
            len(known) < len(spacings)
        )
        log.warning("the tiles have %s; to cut all at one, set TILES.SPACING_UM (for example 2.0)", sizes)
    return scale.spacing_um or (round(float(np.median(known)), 4) if agree else None)
