"""Fewer grey levels in the stored images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence


class BitDepth(Defence):
    """Round every channel to the nearest of ``2 ** bits`` evenly spaced levels.

    Args:
        bits: of a channel, 1..8; at 4 the levels are 17 steps apart, twice a bound of 8.
    """

    name = "bits"
    summary = "fewer bits per channel before training"

    def __init__(self, *, bits: int = 4) -> None:
        if not 1 <= bits <= 8:
            raise UnsegError(f"bits is {bits}: give 1 to 8")
        self.bits = bits

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        top = 2**self.bits - 1
        levels = np.round(np.arange(256) / 255 * top) / top * 255
        return np.round(levels).astype(np.uint8)[image]
