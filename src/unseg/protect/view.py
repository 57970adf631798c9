"""What a noise source is shown: a photograph and its regions, at the size that models see."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg.images.photo import Photo
from unseg.images.view import model_image, touched
from unseg.masks.regions import Regions


@dataclass(frozen=True)
class View:
    """What the model is shown.

    Args:
        image: (3, h, w), float, in [0, 255].
        foreground: (h, w), bool.
        index: (h, w), uint8; see :class:`~unseg.masks.regions.Regions`.
        codes: of the regions; see there.
        grey: whether the image has one channel, shown as three.
    """

    image: Tensor
    foreground: NDArray[np.bool_]
    index: NDArray[np.uint8]
    codes: tuple[int, ...] = ()
    grey: bool = False

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.codes)

    @property
    def values(self) -> int:
        """Noise values of all prompts together."""
        return 3 * self.foreground.size * (1 + self.count)


def view(photo: Photo, regions: Regions) -> View:
    """Photo and regions at the size the model is shown."""
    image = model_image(photo)
    height, width = image.shape[1:]
    index = regions.index
    if index.shape != (height, width):
        index = np.asarray(cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST))
    foreground = touched(regions.foreground, height, width)
    return View(image, foreground, index, regions.codes, photo.grey)
