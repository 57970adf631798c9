"""Subtracting what all images of a training set have in common at fine scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.evaluate.defences.base import Defence

if TYPE_CHECKING:
    from unseg.datasets.samples import Sample

Field = NDArray[np.float32]


class Residual(Defence):
    """Estimate a fixed pattern as the mean high-pass residual of all images, and subtract it.

    A residual is what a Gaussian blur takes away, clipped, so that the photographs' own edges do
    not drown a small pattern. Two means are subtracted one after the other: of the residuals
    resized to one frame, for noise that is laid over the frame, and of what is left of them pixel
    by pixel from the upper left corner, for noise that is tiled from there. A pattern whose sign
    flips at mask borders has a small mean, so it stays for the most part.

    Args:
        deviation: of the blur, in pixels: what is coarser stays.
        frame: side of the square frame, in pixels.
        clip: largest residual that counts, in 8-bit steps.
    """

    name = "residual"
    summary = "subtract the training set's mean high-pass residual"

    def __init__(self, *, deviation: float = 16.0, frame: int = 512, clip: float = 16.0) -> None:
        self.deviation, self.frame, self.clip = deviation, frame, clip
        self._framed: Field = np.zeros((1, 1, 3), np.float32)
        self._cornered: Field = np.zeros((1, 1, 3), np.float32)

    def prepare(self, published: Sequence[Sample], seed: int) -> None:
        side = (self.frame, self.frame)
        total = np.zeros((*side, 3), np.float64)
        height = width = 0
        for sample in published:
            total += cv2.resize(self._high_pass(sample.image), side, interpolation=cv2.INTER_LINEAR)
            height = max(height, sample.image.shape[0])
            width = max(width, sample.image.shape[1])
        self._framed = (total / len(published)).astype(np.float32)
        total, count = np.zeros((height, width, 3)), np.zeros((height, width, 1))
        for sample in published:
            residual = self._high_pass(sample.image)
            rows, columns = residual.shape[:2]
            total[:rows, :columns] += residual - self._at(rows, columns)
            count[:rows, :columns] += 1
        self._cornered = (total / np.maximum(count, 1)).astype(np.float32)
        # Where only few images reach, their mean is they themselves.
        self._cornered *= count >= len(published) / 2

    def stored(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        rows, columns = image.shape[:2]
        pattern = self._at(rows, columns)
        common = self._cornered[:rows, :columns]
        pattern[: common.shape[0], : common.shape[1]] += common
        return np.clip(np.round(image - pattern), 0, 255).astype(np.uint8)

    def _high_pass(self, image: NDArray[np.uint8]) -> Field:
        pixels = image.astype(np.float32)
        residual = pixels - cv2.GaussianBlur(pixels, (0, 0), self.deviation)
        return residual.clip(-self.clip, self.clip)

    def _at(self, rows: int, columns: int) -> Field:
        """The framed pattern at an image's size."""
        resized = cv2.resize(self._framed, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)
