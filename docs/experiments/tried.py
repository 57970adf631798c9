"""Hand-made noises that were tried once; what each left of victims is in README.md beside this.

    python docs/experiments/tried.py --data data -o docs/results/frontier

takes the options of ``unseg evaluate --suite``. The victim, its schedule and the validation part
are those of the suite ``frontier``.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from unseg.cli.main import main
from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.stripes import StripesInMask
from unseg.evaluate.suites import SUITES, Grid
from unseg.evaluate.suites.real import FRONTIER, SCHEDULES

TEXTURE = 12.0
"""Standard deviation of brightness, in 8-bit steps, from which texture hides a wave wholly."""
AROUND = 9
"""Side of the window in which texture is measured, in pixels."""


class Octaves(StripesInMask):
    """Two periods at once, one twice the other, so that trainers at half the size read one, too."""

    name = "octaves"

    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        period, angles, hue = self.waves(number)
        y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
        angle = math.pi * angles[0]
        along = (x * math.cos(angle) + y * math.sin(angle)) * 512 / max(size)
        turns = [along / own + torch.rand((), generator=rng) for own in (period, 2 * period)]
        summed = sum((2 * math.pi * one).sin() for one in turns)
        return torch.where(torch.as_tensor(summed) >= 0, 1.0, -1.0) * _column(hue)


class Contour(StripesInMask):
    """Waves that follow the outline: their phase is the distance from it."""

    name = "contour"

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        mask = sample.mask.astype(np.uint8)
        deep = torch.from_numpy(cv2.distanceTransform(mask, cv2.DIST_L2, 5))
        turns = deep * 512 / (self.period * max(mask.shape)) + torch.rand((), generator=rng)
        wave = torch.where((2 * math.pi * turns).sin() >= 0, 1.0, -1.0)
        return wave * _column(self.hue) * torch.from_numpy(sample.mask)


class TwoCarriers(StripesInMask):
    """The waves in colour, and upright ones in brightness as far as texture hides them."""

    name = "carriers"

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        colour = super().noise(image, sample, rng)
        grey = image.mean(0).numpy()
        mean, square = (cv2.blur(one, (AROUND, AROUND)) for one in (grey, grey * grey))
        hidden = torch.from_numpy(np.sqrt(np.maximum(square - mean * mean, 0))) / TEXTURE
        hidden = hidden.clamp(0, 1) * torch.from_numpy(sample.mask)
        width = grey.shape[1]
        turns = (torch.arange(width) + 0.5) * 512 / (self.period * max(grey.shape))
        wave = (2 * math.pi * (turns + torch.rand((), generator=rng))).sin().sign()
        return (1 - hidden / 2) * colour + hidden / 2 * wave


def _column(hue: object) -> Tensor:
    """(3, 1, 1) of an RGB direction."""
    return torch.tensor(hue).float()[:, None, None]


if __name__ == "__main__":
    names = ("tried:Octaves", "tried:Contour", "tried:TwoCarriers")
    grid = Grid("tried", ["person"], SCHEDULES["person"][:1], names, part="val")
    SUITES["tried"] = replace(FRONTIER, name="tried", grids=(grid,))
    sys.argv = ["unseg", "evaluate", "--suite", "tried", *sys.argv[1:]]
    main()
