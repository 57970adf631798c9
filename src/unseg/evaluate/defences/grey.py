"""Grey images: what is left of a colour code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.evaluate.defences.base import Defence


class Grey(Defence):
    """Pillow's luminance (ITU-R 601-2) in all three channels."""

    name = "grey"
    summary = "grey images before training"

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))
