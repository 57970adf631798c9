"""Outlines to masks: polygons, run lengths of COCO (counts or its text form), rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.reader import MAX_PIXELS
from unseg.masks.annotations.base import Rle
from unseg.masks.annotations.coco import decode_counts
from unseg.masks.outlines import decode_rle, fill_polygons


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
    kept = []
    for polygon in polygons:
        points = np.asarray(polygon, np.float32).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError("a corner of its outline is not a number")
        if len(points) >= 3:
            kept.append(points)
    return fill_polygons(kept, shape[1], shape[0])


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
        counts = decode_counts(counts if isinstance(counts, str) else counts.decode("ascii"))
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f"its runs hold {runs.sum()} pixels, but its size is {width}x{height}")
    return decode_rle(Rle(runs.tolist(), height, width))


def mask_of_segmentation(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(H, W) bool of an annotation's ``segmentation``; None where it is empty.

    Raises:
        ValueError: when it is no outline, or its run lengths are of another size.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != shape:
            raise ValueError(
                f"its size is {segmentation['size']}, but the image's is {list(shape)}"
            )
        mask = mask_of_rle(segmentation)
    else:
        flat = not isinstance(segmentation[0], list | tuple)
        mask = mask_of_polygons([segmentation] if flat else segmentation, shape)
    return mask if mask.any() else None


def check_ratio(said: tuple[int, int], size: tuple[int, int], name: str) -> None:
    """Refuse annotations of an image whose sides have another ratio, so that it was cut or turned.

    Args:
        said: (width, height) that the annotations are of.
        size: (width, height) of the image.
        name: what to call the annotations in messages.

    Raises:
        UnsegError: with both sizes; also where they are larger than any image that is read.
    """
    (width, height), (wide, high) = said, size
    if min(width, height) < 1 or width * height > MAX_PIXELS:
        raise UnsegError(f"{name} is {width}x{height}, but the file {wide}x{high}: correct it")
    if abs(width * high - height * wide) > max(wide, high, width, height):
        turned = (
            ", which is the size before its EXIF orientation is applied: store the image "
            "the way up it is shown"
            if (width, height) == (high, wide)
            else ": correct width and height"
        )
        raise UnsegError(f"{name} is {width}x{height} but the file is {wide}x{high}{turned}")


def resized(map: NDArray[np.int32], size: tuple[int, int], name: str) -> NDArray[np.int32]:
    """A map of an image that was resized without its annotations; see :func:`check_ratio`."""
    check_ratio((map.shape[1], map.shape[0]), size, name)
    return np.asarray(cv2.resize(map, size, interpolation=cv2.INTER_NEAREST), np.int32)
