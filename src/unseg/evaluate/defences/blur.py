"""Gaussian blur of the stored images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from unseg.evaluate.defences.base import Defence


class Blur(Defence):
    """Pillow's approximation of a Gaussian, at the original resolution.

    Args:
        deviation: standard deviation in pixels.
    """

    name = "blur"
    summary = "Gaussian blur before training"

    def __init__(self, *, deviation: float = 2.0) -> None:
        self.deviation = deviation

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(self.deviation)))
