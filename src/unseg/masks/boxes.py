"""Boxes of objects, for the base SAM to draw what lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image.

    Args:
        corners: (n, 4) float, left, top, right, bottom: in pixels, or in shares of the image.
        labels: (n,) int32, the class of each from 1 on.
        relative: whether the corners are shares of width and height.
        name: where they come from, for messages.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    relative: bool
    name: str

    def in_pixels(self, width: int, height: int) -> NDArray[np.float32]:
        """(n, 4) corners, cut at the border of an image of this size.

        Raises:
            UnsegError: when a box covers none of the image.
        """
        size = np.array([width, height] * 2, np.float32)
        corners = np.clip(self.corners * size if self.relative else self.corners, 0, size)
        empty = (corners[:, 2:] - corners[:, :2] < 1).any(axis=1)
        if empty.any():
            raise UnsegError(
                f"{self.name}: box {int(empty.argmax()) + 1} covers no pixel of the "
                f"{width}x{height} image: correct it or leave it out"
            )
        return corners.astype(np.float32)
