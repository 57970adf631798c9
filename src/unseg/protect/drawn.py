"""Pictures that are drawn: measuring needs photographs, and none ship with the package."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: Colours of the drawn figure.
_SKIN, _COAT = (np.array(c, np.float32) for c in ((205, 160, 130), (170, 60, 50)))


def photograph(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """A drawn picture with the statistics of a photograph: detail falls with the frequency.

    Returns:
        (H, W, 3) uint8, of the same random numbers everywhere.
    """
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    level = 2
    while level <= max(width, height):
        size = (
            max(2, width * level // max(width, height)),
            max(2, height * level // max(width, height)),
        )
        coarse = rng.standard_normal((size[1], size[0], 3), np.float32)
        coarse = coarse * 0.3 + coarse.mean(axis=2, keepdims=True)
        wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        picture += wide * (45 / level**0.3)
        level *= 2
    picture += rng.standard_normal((height, width, 1), np.float32) * 2  # a sensor's
    return (picture + 120).clip(0, 255).astype(np.uint8)


def figure(width: int, height: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A :func:`photograph` with somebody in it: what stands out is found, as in a real one.

    Returns:
        (H, W, 3) uint8, and (H, W) bool, the figure.
    """
    behind = photograph(width, height, seed)
    mask = np.zeros((height, width), np.uint8)
    middle = width // 2
    body = (int(height * 0.16), int(height * 0.3))
    cv2.ellipse(mask, (middle, int(height * 0.68)), body, 0, 0, 360, 255, -1)
    cv2.circle(mask, (middle, int(height * 0.28)), int(height * 0.1), 255, -1)
    rows = np.arange(height, dtype=np.float32)[:, None, None] / height
    colour = np.where(rows < 0.38, _SKIN, _COAT)
    lit = colour * (1.2 - 0.5 * rows)
    edge = cv2.GaussianBlur(mask, (0, 0), 1.5).astype(np.float32)[..., None] / 255
    # The figure keeps a tenth of the texture, so that it is not flat.
    picture = behind + edge * (lit + (behind - np.float32(120)) * 0.1 - behind)
    return picture.clip(0, 255).astype(np.uint8), mask > 0
