"""Stripes where the mask is and nowhere else, as hard to see as ours: what nothing was learned for.

The frontier that learned noise has to beat. The waves are the generator's, their edges are the true
mask's, and they go through the same search for what may be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions.classwise import ClassWise
from unseg.evaluate.problem import BACKGROUND
from unseg.noise import Budget, without_brightness
from unseg.protect.visibility import DEFAULT, LIMITS, Visibility

HUE = (-0.6, 0.6, 1.0)
"""Blue, the channel that eyes resolve least, with green against red: of the hues that were tried it
left victims least of what they learn at an equal visibility (docs/experiments)."""
TILT = (0.5, -0.25, 0.0)
"""Added to or taken from a hue it makes two more; what is seen as brightness changes by little."""
TURNS = ((0.0,), (0.5,), (0.25,), (0.0, 0.5), (0.25, 0.75), (0.0, 0.25), (0.5, 0.25))
"""Directions of further classes, in half turns from the first, that stay apart under a mirror and
at every scale: one wave, then the sign of the sum of two, which is a checkerboard."""
LONGER = 1.5
"""Second period of the class textures, relative to the first."""


class Waves(NamedTuple):
    """One texture: period in 512ths of the long side, angles in half turns, RGB direction."""

    period: float
    angles: tuple[float, ...]
    hue: tuple[float, float, float]


class StripesInMask(ClassWise):
    """A square wave inside the mask, one texture a class; nothing outside it.

    A binary problem has one texture. Further classes have other directions first, of one wave and
    of two, then other hues, then a longer period; a class named ``background`` has none. The phase
    is drawn for every image and class, from the image's name alone. In files of one channel the
    noise of the three channels is summed, as ours is.

    Args:
        period: in 512ths of the image's long side.
        hue: RGB direction, each in [-1, 1]; the largest is 1 for the whole bound.
        balanced: whether green is what keeps the brightness of every pixel, whatever the hue says
            (:func:`unseg.noise.without_brightness`).
        angle: direction in which the wave of the first class varies, in half turns: 0.5 is level
            stripes.
        amplitude: share of the bound that is used, 0..1.
        visibility: as ``unseg protect --visibility``.
        budget: the bound, in 8-bit steps.

    Raises:
        UnsegError: when a setting is out of range.
    """

    name = "stripes"
    # As ours: one published set serves every seed, so that the search is paid for once.
    seeded = False
    costly = True
    summary = "square waves inside the true mask, nothing learned, as hard to see as ours"

    def __init__(
        self,
        *,
        period: float = 12.0,
        hue: Sequence[float] = HUE,
        balanced: bool = False,
        angle: float = 0.5,
        amplitude: float = 1.0,
        visibility: Visibility = DEFAULT,
        budget: Budget = Budget(),
    ) -> None:
        super().__init__(budget=budget)
        if not 0 < period < math.inf:
            raise UnsegError(f"stripes: period {period} must be above 0")
        if len(hue) != 3 or not 0 < max(map(abs, hue)) <= 1:
            raise UnsegError(f"stripes: hue {hue} must be three numbers in -1..1, not all 0")
        if not 0 < amplitude <= 1:
            raise UnsegError(f"stripes: amplitude {amplitude} must be above 0 and at most 1")
        if visibility not in LIMITS:
            raise UnsegError(f"stripes: visibility {visibility} must be one of {', '.join(LIMITS)}")
        self.period, self.angle, self.amplitude = float(period), float(angle), float(amplitude)
        self.hue = [float(part) for part in hue]
        self.visibility: Visibility = visibility
        self.balanced = bool(balanced)

    def settings(self) -> dict[str, Any]:
        found = super().settings()
        if not self.balanced:  # results of before this setting keep their names
            del found["balanced"]
        return found

    @property
    def label(self) -> str:
        return self.name if self.visibility == DEFAULT else f"{self.name}-{self.visibility}"

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        made = super().noise(image, sample, rng) * torch.from_numpy(sample.mask)
        return without_brightness(made, image) if self.balanced else made

    def waves(self, number: int) -> Waves:
        """The texture of a class; after the last the first comes again."""
        tilts = (0.0, 1.0, -1.0)
        order = [
            Waves(period, tuple((self.angle + turn) % 1 for turn in turns), self._tilted(tilt))
            for period, tilt, turns in product((self.period, LONGER * self.period), tilts, TURNS)
        ]
        return order[(number - self._outside) % len(order)]

    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        period, angles, hue = self.waves(number)
        height, width = size
        x, y = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
        summed = torch.zeros(size)
        for angle in angles:
            along = x * math.cos(math.pi * angle) + y * math.sin(math.pi * angle)
            turns = along * 512 / (period * max(size)) + torch.rand((), generator=rng)
            summed += (2 * math.pi * turns).sin()
        wave = torch.where(summed >= 0, self.amplitude, -self.amplitude)
        return wave * torch.tensor(hue).float()[:, None, None]

    @property
    def _outside(self) -> int:
        """How many numbers are of what is never protected: none where every pixel has a class."""
        problem = self._problem
        if problem.kind in ("semantic", "panoptic"):
            return int(problem.binary or problem.classes[0] == BACKGROUND)
        return 1

    def _tilted(self, by: float) -> tuple[float, float, float]:
        """The hue turned towards red (1), away from it (-1) or not at all (0), as strong."""
        most = max(map(abs, self.hue))
        moved = [part + by * most * step for part, step in zip(self.hue, TILT, strict=True)]
        scale = most / max(map(abs, moved))
        red, green, blue = (part * scale for part in moved)
        return red, green, blue
