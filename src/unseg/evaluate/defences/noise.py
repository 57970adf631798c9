"""Gaussian noise on the batches, new in every step."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.evaluate.defences.base import Defence


class GaussianNoise(Defence):
    """Drown the protection in noise of the trainer's own.

    Args:
        deviation: standard deviation in 8-bit steps.
    """

    name = "noise"
    summary = "Gaussian noise added to every batch"

    def __init__(self, *, deviation: float = 8.0) -> None:
        self.deviation = deviation

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(images.shape, generator=rng) * (self.deviation / 255)
        return (images + noise).clamp(0, 1), targets
