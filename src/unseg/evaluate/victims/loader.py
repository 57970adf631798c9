"""A trainer's loader: resize once, then random scale, crop, flip and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.victims.colours import distorted, drawn, mild
from unseg.evaluate.victims.shuffled import Photographs
from unseg.models.backbones.base import MEAN, STD
from unseg.models.constants import constant

CPU = torch.device("cpu")


def shrink(image: NDArray[np.uint8], short: int, *, nearest: bool = False) -> NDArray[np.uint8]:
    """Resize so that the short side is ``short``: by area when shrinking, else bilinear.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        short: in pixels.
        nearest: for label maps, whose values must not be mixed.
    """
    height, width = image.shape[:2]
    scale = short / min(height, width)
    size = (max(short, round(width * scale)), max(short, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    method = cv2.INTER_NEAREST if nearest else method
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def normalise(images: Tensor) -> Tensor:
    """(B, 3, H, W) float in [0, 1] to zero mean and unit variance over natural images."""
    return (images - constant(MEAN, images.device)) / constant(STD, images.device)


@dataclass(frozen=True)
class Augmentation:
    """How a training crop is drawn.

    Args:
        smallest: smallest random scale of the photograph, relative to the work size.
        largest: largest random scale.
        flip: probability of a horizontal flip.
        jitter: brightness, contrast and saturation change by a factor in 1 +- jitter.
        photometric: PhotoMetricDistortion instead of the jitter, as in mmsegmentation and
            Mask2Former.
    """

    smallest: float = 0.75
    largest: float = 1.5
    flip: float = 0.5
    jitter: float = 0.2
    photometric: bool = False

    def settings(self) -> dict[str, Any]:
        """For a result's key: of jitter and distortion, the one that acts."""
        found = asdict(self)
        del found["jitter" if self.photometric else "photometric"]
        return found

    def recoloured(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Draw and change the colours of (B, 3, H, W) float images in [0, 1]."""
        count = len(images)
        colours = drawn(count, rng) if self.photometric else mild(count, self.jitter, rng)
        return distorted(images, colours.to(images.device))


USUAL = Augmentation(smallest=0.5, largest=2.0, photometric=True)
"""What practitioners train segmentation with at full resolution."""


def crop_matrix(
    shape: tuple[int, ...], side: int, augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw how a photograph lies in a square crop: scale, place and flip.

    Args:
        shape: (height, width) of the photograph.
        side: of the crop, in pixels.
        augmentation: what to draw from.
        rng: the only source of randomness.

    Returns:
        (2, 3) matrix from the photograph's pixels to the crop's, for ``cv2.warpAffine``.
    """
    low, high = np.log(augmentation.smallest), np.log(augmentation.largest)
    scale = float(np.exp(rng.uniform(low, high)))
    height, width = shape[0] * scale, shape[1] * scale
    left = rng.uniform(min(0.0, width - side), max(0.0, width - side))
    top = rng.uniform(min(0.0, height - side), max(0.0, height - side))
    flip = rng.random() < augmentation.flip
    sign, shift = (-scale, side - 1 + left) if flip else (scale, -left)
    return np.array([[sign, 0, shift], [0, scale, -top]])


class CropLoader:
    """Draws batches of square crops, from photographs at the work size.

    What is drawn is drawn on the CPU, so that every device sees the same crops.

    Args:
        samples: training samples at their original resolution.
        size: short side of the work size, in pixels.
        crop: side of a crop, in pixels.
        batch_size: crops a batch.
        augmentation: how a crop is drawn.
        binary: targets are foreground maps, not class indices.
        rng: the only source of randomness.
        device: where photographs lie and crops are made.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        size: int,
        crop: int,
        batch_size: int,
        augmentation: Augmentation,
        binary: bool,
        rng: np.random.Generator,
        device: torch.device = CPU,
    ) -> None:
        self._size, self._side, self._batch_size = size, crop, batch_size
        self._augmentation, self._binary, self._rng = augmentation, binary, rng
        self._photographs = Photographs(samples, self._shrink, rng, device)

    def draw(self) -> tuple[Tensor, Tensor]:
        """One batch.

        Returns:
            Images (B, 3, S, S) in [0, 1], and targets (B, 1, S, S) float in {0, 1} or
            (B, S, S) int64 class indices.
        """
        taken = self._photographs.take(self._batch_size)
        # Reflection keeps the padding of small scales from being a cue.
        matrices = np.stack(
            [crop_matrix(one.shape, self._side, self._augmentation, self._rng) for one in taken]
        )
        # A foreground is moved as smoothly as its photograph and cut at one half.
        smooth = 4 if self._binary else 3
        soft, hard = self._photographs.crops(taken, matrices, self._side, smooth=smooth)
        images = self._augmentation.recoloured((soft[:, :3] / 255).clamp(0, 1), self._rng)
        return images, (soft[:, 3:] > 127.5).float() if self._binary else hard[:, 0].long()

    def _shrink(self, sample: Sample) -> tuple[NDArray[np.uint8], None]:
        image, labels = shrink(sample.image, self._size), sample.class_map
        if self._binary:
            # The mask is shrunk by area, which moves no border.
            labels = shrink((labels == 1).astype(np.uint8) * 255, self._size)
        else:
            labels = shrink(labels, self._size, nearest=True)
        return np.dstack([image, labels]), None
