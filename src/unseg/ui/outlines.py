"""Outlines of what is chosen, drawn on a small copy of a photograph."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.masks.overlay import OUTLINE

#: Long side, in pixels, of the copy that is shown: it fits a wide screen.
SHOWN = 1280
#: Around the outline, so that it is seen on any ground.
_RIM = (255, 255, 255)
#: How much of the outline's colour lies on a chosen object.
_TINT = 0.18
_QUALITY = 90


def shown_copy(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photograph at the size at which it is clicked on.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (h, w, 3) uint8, the long side at most :data:`SHOWN`.
    """
    longest = max(pixels.shape[:2])
    if longest <= SHOWN:
        return pixels
    height, width = (max(1, round(side * SHOWN / longest)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def outlined(copy: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """A photograph with a thin tint and an outline on every object.

    Args:
        copy: (h, w, 3) uint8, RGB.
        masks: bool, of any size with the same proportions.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = copy.shape[:2]
    drawn = copy.copy()
    line = max(1, round(max(height, width) / 500))
    found: list[NDArray[Any]] = []
    for mask in masks:
        small = cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        inside = small > 0
        drawn[inside] = (drawn[inside] * (1 - _TINT) + np.multiply(OUTLINE, _TINT)).astype(np.uint8)
        # The border is inside the picture, so that an object that is cut off is closed, too.
        ways, _ = cv2.findContours(np.asarray(small), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        found += ways
    cv2.drawContours(drawn, found, -1, _RIM, 3 * line, cv2.LINE_AA)
    cv2.drawContours(drawn, found, -1, OUTLINE, line, cv2.LINE_AA)
    return drawn


def as_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """(h, w, 3) uint8 as a JPEG to look at."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
