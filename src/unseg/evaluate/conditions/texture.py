"""Stripes that tell the class: the strongest hand-made noise on dense label maps."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from unseg.evaluate.conditions.classwise import ClassWise
from unseg.noise import Budget

ANGLES = (0.5, 0.0, 0.25, 0.75)
"""Direction in which a stripe pattern varies, in half turns: level, upright and slanted stripes."""

COLOURS = ((1, -1, 1), (1, 1, -1), (-1, 1, 1), (1, -1, 0), (1, 0, -1), (0, 1, -1))
"""Six colour signs. None is another's negative, which half a period's shift would make equal."""


class Stripes(NamedTuple):
    """One texture: period in 512ths of the long side, angle in half turns, sign of each channel."""

    period: float
    angle: float
    colour: tuple[int, int, int]


class Texture(ClassWise):
    """Square-wave stripes, one combination of period, orientation and colour sign a class.

    A convolution reads them at any place, under crops and flips. The phase is drawn for every image
    and class, so no fixed pattern can be estimated and subtracted. A binary problem has magenta and
    green stripes, level inside and upright outside.

    Args:
        periods: in 512ths of the image's long side. The defaults are 8, 11 and 16 pixels for a
            victim that reduces photographs of 4:3 to a short side of 160.
        budget: the bound, in 8-bit steps.
    """

    name = "texture"
    summary = "stripes per class: period, orientation, colour sign; translation-invariant"

    def __init__(
        self,
        *,
        periods: tuple[float, ...] = (20.0, 26.0, 38.0),
        budget: Budget = Budget(),
    ) -> None:
        super().__init__(budget=budget)
        self.periods = tuple(periods)

    def stripes(self, number: int) -> Stripes:
        """The texture of a class."""
        two = len(self._problem.classes) <= 2 and self._problem.kind != "interactive"
        if two:
            return Stripes(self.periods[0], ANGLES[1 - number % 2], COLOURS[0])
        order = self._order()
        return order[number % len(order)]

    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        period, angle, colour = self.stripes(number)
        height, width = size
        x, y = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
        along = x * math.cos(math.pi * angle) + y * math.sin(math.pi * angle)
        turns = along * 512 / (period * max(size)) + torch.rand((), generator=rng)
        wave = torch.where(turns.remainder(1) < 0.5, 1.0, -1.0)
        return wave * torch.tensor(colour).float()[:, None, None]

    def _order(self) -> list[Stripes]:
        every = [Stripes(*parts) for parts in product(self.periods, ANGLES, COLOURS)]
        shuffled = [every[i] for i in torch.randperm(len(every), generator=self.of_class(0))]
        # First what stays apart under a victim's flips (slants become each other) and random
        # scales (neighbouring periods do), and uses the bound in all three channels.
        middle = self.periods[1:-1]
        return sorted(
            shuffled,
            key=lambda s: (s.angle == ANGLES[3]) + (s.period in middle) + (0 in s.colour),
        )
