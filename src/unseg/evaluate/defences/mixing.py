"""Augmentations that join two crops of a batch: CutMix and mixup."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unseg.evaluate.defences.base import Defence


def _share(strength: float, rng: torch.Generator) -> float:
    """A draw of Beta(strength, strength), by Jöhnk's method: torch's Beta takes no generator."""
    while True:
        x, y = torch.rand(2, generator=rng, dtype=torch.float64).pow(1 / strength).tolist()
        if 0 < x + y <= 1:
            return float(x / (x + y))


class CutMix(Defence):
    """Paste a rectangle of another crop of the batch, with its labels (Yun et al., 1905.04899).

    Args:
        strength: of the Beta distribution of the share that stays; 1 is uniform.
        probability: of doing it to a batch.
    """

    name = "cutmix"
    summary = "CutMix: rectangles of other crops, labels included"

    def __init__(self, *, strength: float = 1.0, probability: float = 0.8) -> None:
        self.strength, self.probability = strength, probability

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        if float(torch.rand((), generator=rng)) >= self.probability:
            return images, targets
        side = images.shape[-1]
        long = round(side * math.sqrt(1 - _share(self.strength, rng)))
        top, left = torch.randint(side - long + 1, (2,), generator=rng).tolist()
        # Every crop gets the rectangle of another one: no crop is its own neighbour in a ring.
        images, targets = images.clone(), targets.clone()
        for some in (images, targets):
            part = some[..., top : top + long, left : left + long]
            part.copy_(part.roll(1, dims=0))
        return images, targets


class MixUp(Defence):
    """Blend every crop with another of the batch (Zhang et al., arXiv 1710.09412).

    Foreground maps are blended, too. Class indices cannot be: every pixel keeps the class of the
    crop that weighs more, which is always its own.

    Args:
        strength: of the Beta distribution of the weight.
    """

    name = "mixup"
    summary = "mixup: blends of two crops (class indices stay the heavier crop's)"

    def __init__(self, *, strength: float = 0.4) -> None:
        self.strength = strength

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        drawn = _share(self.strength, rng)
        weight = max(drawn, 1 - drawn)
        mixed = weight * images + (1 - weight) * images.roll(1, dims=0)
        if targets.is_floating_point():
            targets = weight * targets + (1 - weight) * targets.roll(1, dims=0)
        return mixed, targets
