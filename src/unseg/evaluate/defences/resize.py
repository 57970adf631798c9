"""Shrinking the stored images and enlarging them again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.evaluate.defences.base import Defence


class Resize(Defence):
    """Resize by ``scale`` and back to the original size; Pillow's bilinear filter both ways.

    Args:
        scale: factor of the smaller size, 0..1.
    """

    name = "resize"
    summary = "resize down and back up before training"

    def __init__(self, *, scale: float = 0.5) -> None:
        self.scale = scale

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        small = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        shrunk = Image.fromarray(image).resize(small, Image.Resampling.BILINEAR)
        return np.asarray(shrunk.resize((width, height), Image.Resampling.BILINEAR))
