"""One colour added to every pixel of every image: noise that says nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.base import HandMade


class Constant(HandMade):
    """The whole bound in one colour direction, a sign for every channel drawn from the seed.

    Inside the mask the shift is the foreground's bound, outside the background's.
    """

    name = "constant"
    summary = "one constant colour shift for all images, mask-modulated"

    def generator(self, sample: Sample, seed: int) -> torch.Generator:
        # One colour for the whole set: the sample must not matter.
        return torch.Generator().manual_seed(seed)

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        signs = torch.randint(0, 2, (3, 1, 1), generator=rng).float() * 2 - 1
        return signs.expand_as(image)
