"""JPEG compression of the stored images (Pillow's encoder)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.evaluate.defences.base import Defence


class Jpeg(Defence):
    """Encode and decode every image once, with Pillow's defaults (4:2:0 chroma).

    Args:
        quality: Pillow's quality, 1..95.
    """

    name = "jpeg"
    summary = "JPEG compression before training"

    def __init__(self, *, quality: int = 75) -> None:
        self.quality = quality

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=self.quality)
        with Image.open(buffer) as decoded:
            return np.asarray(decoded.convert("RGB"))
