"""Gaussian random noise of the generator's amplitude."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.base import HandMade
from unseg.noise import Budget


class Gaussian(HandMade):
    """Independent normal noise in every pixel and channel, clipped to the bound.

    Args:
        deviation: standard deviation before clipping, as a share of the bound.
        budget: the bound, in 8-bit steps.
    """

    name = "gaussian"
    summary = "Gaussian noise per pixel, clipped to the bound, mask-modulated"

    def __init__(self, *, deviation: float = 0.5, budget: Budget = Budget()) -> None:
        super().__init__(budget=budget)
        self.deviation = deviation

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        return (torch.randn(image.shape, generator=rng) * self.deviation).clamp(-1, 1)
