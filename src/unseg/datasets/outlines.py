"""Outlines to masks: polygons, run lengths of COCO (counts or its text form), rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError

#: Points a pixel's side is divided into, of which the middle one decides: as COCO's own code has
#: it, and fewer for polygons whose boxes have more pixels than the number beside it.
FINE = ((5, 4_000_000), (3, 16_000_000), (1, None))


def mask_of_polygons(
    polygons: Sequence[Sequence[float]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """(H, W) bool: the union of polygons, the pixels whose middle is inside one.

    Args:
        polygons: each x, y, x, y, ... in pixels, where pixel i covers i to i + 1; those of fewer
            than three points are left out.
        shape: (H, W).

    Example:
        >>> mask_of_polygons([[1, 0, 3, 0, 3, 1, 1, 1]], (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]

    Raises:
        ValueError: when a polygon has an odd number of values or is no list of numbers.
    """
    mask = np.zeros(shape, bool)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError("a corner of its outline is no number")
        if len(points) < 3:
            continue
        limits = np.array(shape[::-1])
        low = np.floor(points.min(axis=0)).clip(0, limits).astype(int)
        high = np.ceil(points.max(axis=0)).clip(0, limits).astype(int)
        width, height = high - low
        if width < 1 or height < 1:
            continue
        scale = next(s for s, most in FINE if most is None or width * height <= most)
        drawn = np.zeros((height * scale, width * scale), np.uint8)
        # Four bits of fraction; a drawn point's own coordinates are those of its middle.
        fixed = np.round(((points - low) * scale - 0.5) * 16).clip(-(1 << 28), 1 << 28)
        cv2.fillPoly(drawn, [fixed.astype(np.int32)], 1, shift=4)
        middle = drawn[scale // 2 :: scale, scale // 2 :: scale] > 0
        mask[low[1] : high[1], low[0] : high[0]] |= middle
    return mask


def mask_of_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """(H, W) bool of COCO's run lengths: ``{"size": [H, W], "counts": list or text}``.

    Example:
        >>> mask_of_rle({"size": [2, 2], "counts": [1, 2, 1]}).astype(int).tolist()
        [[0, 1], [1, 0]]

    Raises:
        ValueError: when the runs do not fill the size.
    """
    height, width = (int(side) for side in rle["size"])
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        counts = _counts_of(counts.encode() if isinstance(counts, str) else counts)
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f"its runs hold {runs.sum()} pixels, its size is {width}x{height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T.copy()


def _counts_of(text: bytes) -> list[int]:
    """COCO's text form: 6 bits a letter, from 48 on; runs after the third are differences."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            if place >= len(text):
                raise ValueError("its text of runs ends within a number")
            letter = text[place] - 48
            value |= (letter & 31) << shift
            more = bool(letter & 32)
            place, shift = place + 1, shift + 5
            if not more and letter & 16:
                value |= -1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts


def mask_of_segmentation(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(H, W) bool of an annotation's ``segmentation``; None where it is empty.

    Raises:
        ValueError: when it is no outline, or its run lengths are of another size.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != shape:
            raise ValueError(f"its size is {segmentation['size']}, the image's {list(shape)}")
        mask = mask_of_rle(segmentation)
    else:
        mask = mask_of_polygons(segmentation, shape)
    return mask if mask.any() else None


def resized(map: NDArray[np.int32], size: tuple[int, int], name: str) -> NDArray[np.int32]:
    """A map of an image that was resized without its annotations.

    Raises:
        UnsegError: when its sides have another ratio, so that it was cut or turned.
    """
    (height, width), (wide, high) = map.shape, size
    if abs(width * high - height * wide) > max(wide, high, width, height):
        turned = (
            ", which is the size before its EXIF orientation is applied: store the image turned"
            if (width, height) == (high, wide)
            else ": correct width and height"
        )
        raise UnsegError(f"{name} is {width}x{height} but the file is {wide}x{high}{turned}")
    return np.asarray(cv2.resize(map, size, interpolation=cv2.INTER_NEAREST), np.int32)
