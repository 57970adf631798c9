"""A mask drawn over its photograph, to be looked at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: Colour of the outline, RGB: it is rare in photographs.
OUTLINE = (255, 40, 160)
#: What is left of the brightness outside the mask.
_DIMMED = 0.35
#: Width of the outline: a part of the long side, in pixels.
_THIN = 300


def overlaid(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The photograph, dark outside the mask, with an outline around it.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool.

    Returns:
        (H, W, 3) uint8; what is well inside the mask is the photograph's own.
    """
    drawn = image.copy()
    drawn[~mask] = (image[~mask] * _DIMMED).astype(np.uint8)
    side = 2 * max(1, round(max(mask.shape) / _THIN / 2)) + 1
    # Beyond the border lies background, so that a mask that covers all is outlined, too.
    around = np.pad(mask.astype(np.uint8), side)
    inner = cv2.erode(around, np.ones((side, side), np.uint8))[side:-side, side:-side] > 0
    drawn[mask & ~inner] = OUTLINE
    return drawn
