"""Large images cut into tiles: what the tasks of remote sensing share."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image, and where it stands in the grid of tiles.

    Args:
        row: from the top.
        column: from the left.
        top: first pixel row.
        left: first pixel column.
        height: in pixels.
        width: in pixels.
    """

    row: int
    column: int
    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """What to index an (H, W, ...) array with."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def tiles(shape: tuple[int, ...], side: int) -> Iterator[Tile]:
    """Cut an image completely into tiles that do not overlap, row by row.

    Args:
        shape: (height, width) of the image, in pixels.
        side: of a tile; where it does not divide the image, tiles are as close to it as an even
            cut makes them.

    Example:
        >>> [(t.left, t.width) for t in tiles((100, 250), 100)]
        [(0, 125), (125, 125)]
    """
    rows, columns = (_cuts(length, side) for length in shape[:2])
    for row, (top, bottom) in enumerate(rows):
        for column, (left, right) in enumerate(columns):
            yield Tile(row, column, top, left, bottom - top, right - left)


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    count = max(1, round(length / side))
    edges = [round(i * length / count) for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def decode(content: bytes, name: str) -> NDArray[np.uint8]:
    """An image file's bytes as (H, W, 3) uint8 RGB.

    Raises:
        UnsegError: when they are no image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise UnsegError(f"{name} cannot be read as an image: {error}") from error


def checksum(samples: Iterable[Sample]) -> str:
    """Hex sha256 over names, pixels and truth of samples that were cut from larger files.

    It stands for the files and for how they were cut.
    """
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(sample.name.encode())
        for part in (sample.image, sample.mask, sample.boxes):
            if part is not None:
                digest.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
