"""Uniform random noise of the generator's amplitude: what budget alone buys."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.base import HandMade


class Uniform(HandMade):
    """Independent uniform noise in every pixel and channel, modulated by the mask."""

    name = "random"
    summary = "uniform random noise per pixel, mask-modulated"

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        return torch.rand(image.shape, generator=rng) * 2 - 1
