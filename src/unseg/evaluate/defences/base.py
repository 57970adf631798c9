"""What every defence does: change stored images before a trainer reads them."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from unseg.evaluate.settings import Configured


class Defence(Configured):
    """One file a defence. Hook: :meth:`stored`. Clean test images are never defended."""

    @abstractmethod
    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to the same shape and type."""


class NoDefence(Defence):
    """The images as published."""

    name = "none"
    summary = "the images as published"

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return image
