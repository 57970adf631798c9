"""Outlines to pixels: polygons and run-length encoded masks at an image's size."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.masks.annotations.base import Rle

#: Corners farther away are moved here: what they enclose of the image stays the same, nearly.
FAR = 1e7


def fill_polygons(
    polygons: Iterable[NDArray[np.float32]], width: int, height: int
) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels whose middle lies in one of the polygons.

    A corner at (0, 0) is the image's corner, as in COCO; where a polygon crosses itself, what is
    covered twice is outside.

    Args:
        polygons: (n, 2), x and y of each corner, in pixels.
        width: of the image.
        height: of the image.

    Example:
        >>> square = np.array([(1, 0), (3, 0), (3, 2), (1, 2)], np.float32)
        >>> fill_polygons([square], 4, 3).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    filled = np.zeros((height, width), bool)
    for polygon in polygons:
        filled |= _fill(np.clip(polygon.astype(np.float64), -FAR, FAR), width, height)
    return filled


def _fill(polygon: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Every edge turns inside to outside, along each row, from where it is crossed on."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    upper = np.where((start[:, 1] <= end[:, 1])[:, None], start, end)
    lower = np.where((start[:, 1] <= end[:, 1])[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(int)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(int)
    edge = np.repeat(np.arange(len(polygon)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    row += first[edge]
    slope = (lower - upper)[edge]
    share = (row + 0.5 - upper[edge, 1]) / slope[:, 1]
    crossing = upper[edge, 0] + share * slope[:, 0]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (row, column), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] % 2 == 1)


def decode_rle(rle: Rle) -> NDArray[np.bool_]:
    """(H, W) bool, at the mask's own size."""
    runs = np.asarray(rle.counts, np.int64)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(rle.height, rle.width, order="F")


def at_size(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """A mask at another size, by the nearest pixel."""
    if mask.shape == (height, width):
        return mask
    resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, bool)
