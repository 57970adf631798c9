"""A trainer's loader: resize once, then random scale, crop, flip and mild colour jitter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.victims.shuffled import Shuffled
from unseg.models.backbones.base import MEAN, STD


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
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std


@dataclass(frozen=True)
class Augmentation:
    """How a training crop is drawn.

    Args:
        smallest: smallest random scale of the photograph, relative to the work size.
        largest: largest random scale.
        flip: probability of a horizontal flip.
        jitter: brightness, contrast and saturation change by a factor in 1 +- jitter.
    """

    smallest: float = 0.75
    largest: float = 1.5
    flip: float = 0.5
    jitter: float = 0.2


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

    Args:
        samples: training samples at their original resolution.
        size: short side of the work size, in pixels.
        crop: side of a crop, in pixels.
        batch_size: crops a batch.
        augmentation: how a crop is drawn.
        binary: targets are foreground maps, not class indices.
        rng: the only source of randomness of geometry; colour draws from torch's.
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
    ) -> None:
        import kornia.augmentation as K

        self._binary, self._size = binary, size
        self._side, self._batch_size, self._augmentation, self._rng = (
            crop,
            batch_size,
            augmentation,
            rng,
        )
        self._items = Shuffled(samples, self._shrink, rng)
        amount = augmentation.jitter
        self._jitter = K.ColorJitter(amount, amount, amount, 0.0)

    def draw(self) -> tuple[Tensor, Tensor]:
        """One batch.

        Returns:
            Images (B, 3, S, S) in [0, 1], and targets (B, 1, S, S) float in {0, 1} or
            (B, S, S) int64 class indices.
        """
        crops = [self._crop(*next(self._items)) for _ in range(self._batch_size)]
        images = torch.from_numpy(np.stack([image for image, _ in crops])).permute(0, 3, 1, 2)
        maps = torch.from_numpy(np.stack([target for _, target in crops]))
        targets = (maps[:, None] > 127).float() if self._binary else maps.long()
        return self._jitter(images.float() / 255), targets

    def _shrink(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image, labels = shrink(sample.image, self._size), sample.class_map
        if not self._binary:
            return image, shrink(labels, self._size, nearest=True)
        # The mask is shrunk by area and cut at one half, which moves no border.
        return image, shrink((labels == 1).astype(np.uint8) * 255, self._size)

    def _crop(
        self, image: NDArray[np.uint8], target: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        matrix = crop_matrix(image.shape[:2], self._side, self._augmentation, self._rng)
        side = (self._side, self._side)

        def warp(array: NDArray[np.uint8], method: int) -> NDArray[np.uint8]:
            # Reflection keeps the padding of small scales from being a cue.
            warped = cv2.warpAffine(
                array, matrix, side, flags=method, borderMode=cv2.BORDER_REFLECT_101
            )
            return np.asarray(warped, dtype=np.uint8)

        method = cv2.INTER_LINEAR if self._binary else cv2.INTER_NEAREST
        return warp(image, cv2.INTER_LINEAR), warp(target, method)
