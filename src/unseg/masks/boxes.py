"""Boxes in pixels, for the base SAM to draw what lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image.

    Args:
        corners: (n, 4) float, left, top, right and bottom, in pixels.
        name: where they come from, for messages.
    """

    corners: NDArray[np.float32]
    name: str

    def in_pixels(self, width: int, height: int) -> NDArray[np.float32]:
        """(n, 4) corners, cut at the border of an image of this size.

        Raises:
            UnsegError: when a box covers none of the image.
        """
        corners = np.clip(self.corners, 0, np.array([width, height] * 2, np.float32))
        empty = (corners[:, 2:] - corners[:, :2] < 1).any(axis=1)
        if empty.any():
            raise UnsegError(
                f"{self.name}: box {int(empty.argmax()) + 1} covers no pixel of the "
                f"{width}x{height} image: correct it or leave it out"
            )
        return corners.astype(np.float32)
