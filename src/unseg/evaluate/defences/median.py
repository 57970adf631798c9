"""Median filter of the stored images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence


class Median(Defence):
    """OpenCV's median of every channel in a square window, at the original resolution.

    Args:
        side: of the window in pixels, odd.
    """

    name = "median"
    summary = "median filter before training"

    def __init__(self, *, side: int = 5) -> None:
        if side < 3 or side % 2 == 0:
            raise UnsegError(f"median's side is {side}: give an odd number from 3 up")
        self.side = side

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.medianBlur(np.ascontiguousarray(image), self.side), dtype=np.uint8)
