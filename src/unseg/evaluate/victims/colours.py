"""Random colours of a trainer's crops, in batches, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unseg.models.constants import constant

BRIGHTNESS, CONTRAST, SATURATION, HUE = 32.0, 0.5, 0.5, 18
"""PhotoMetricDistortion's ranges (Liu et al., *SSD*, ECCV 2016), as mmsegmentation and Mask2Former
have them: +- 32 of 255, factors in 1 +- 0.5, and +- 18 of OpenCV's 180 steps of hue."""


@dataclass(frozen=True)
class Colours:
    """What is drawn for every crop of a batch; each (B,), float.

    Args:
        brightness: added, in [-1, 1] for images in [0, 1].
        before: factor of contrast ahead of saturation and hue.
        saturation: factor of HSV's saturation.
        hue: added to HSV's hue, in turns.
        after: factor of contrast behind saturation and hue.
    """

    brightness: Tensor
    before: Tensor
    saturation: Tensor
    hue: Tensor
    after: Tensor

    def to(self, device: torch.device) -> Colours:
        """The same on another device, in one copy."""
        table = torch.stack([getattr(self, name) for name in NAMES])
        return Colours(*table.to(device, non_blocking=True))


NAMES = tuple(Colours.__dataclass_fields__)


def drawn(count: int, rng: np.random.Generator) -> Colours:
    """Draw PhotoMetricDistortion: every change half of the time, contrast first or last.

    Args:
        count: crops in the batch.
        rng: the only source of randomness.
    """

    def now_and_then(low: float, high: float, neutral: float) -> np.ndarray:
        return np.where(rng.random(count) < 0.5, rng.uniform(low, high, count), neutral)

    brightness = now_and_then(-BRIGHTNESS, BRIGHTNESS, 0.0) / 255
    contrast = now_and_then(1 - CONTRAST, 1 + CONTRAST, 1.0)
    first = rng.random(count) < 0.5
    saturation = now_and_then(1 - SATURATION, 1 + SATURATION, 1.0)
    # Whole steps of 2 degrees, the upper limit left out, as in mmsegmentation.
    hue = np.where(rng.random(count) < 0.5, rng.integers(-HUE, HUE, count), 0) / 180
    columns = (
        brightness, np.where(first, contrast, 1.0), saturation, hue, np.where(first, 1.0, contrast)
    )  # fmt: skip
    return Colours(*(torch.from_numpy(column.astype(np.float32)) for column in columns))


def mild(count: int, amount: float, rng: np.random.Generator) -> Colours:
    """Draw brightness, contrast and saturation as factors in 1 +- ``amount``; brightness is added.

    Args:
        count: crops in the batch.
        amount: largest change.
        rng: the only source of randomness.
    """
    factors = rng.uniform(1 - amount, 1 + amount, (3, count)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(factors)
    none = torch.zeros(count)
    return Colours(brightness - 1, contrast, saturation, none, none + 1)


def distorted(images: Tensor, colours: Colours) -> Tensor:
    """Change colours as drawn; values are cut to [0, 1] after every change.

    Args:
        images: (B, 3, H, W) float, RGB, in [0, 1].
        colours: of B, on the images' device.

    Returns:
        Images of the same shape, in [0, 1].
    """
    if images.device.type == "cpu" and len(images) > 1:
        # One at a time, because what fits into a CPU's caches is quicker.
        table = torch.stack([getattr(colours, name) for name in NAMES])
        return torch.cat(
            [
                distorted(images[i : i + 1], Colours(*table[:, i : i + 1]))
                for i in range(len(images))
            ]
        )
    brightness, before, saturation, hue, after = (
        getattr(colours, name).view(-1, 1, 1, 1) for name in NAMES
    )
    images = ((images + brightness).clamp(0, 1) * before).clamp(0, 1)
    return (hsv_moved(images, saturation, hue) * after).clamp(0, 1)


def hsv_moved(images: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Scale the saturation and turn the hue of HSV.

    Args:
        images: (B, 3, H, W) float, RGB, in [0, 1].
        saturation: (B, 1, 1, 1) factors.
        hue: (B, 1, 1, 1) in turns.
    """
    value, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    spread = value - low
    red, green, blue = images.split(1, dim=1)
    # Sixths of a turn, as in OpenCV: red first, then green, where several are the largest.
    sixths = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, 2 * spread + blue - red, 4 * spread + red - green),
    ) / spread.clamp(min=1e-8)
    chroma = torch.minimum(spread * saturation, value)
    # Every channel falls from its value by a trapezium of the hue.
    turned = constant((5.0, 3.0, 1.0), images.device) + (sixths + 6 * hue)
    turned = torch.where(turned < 6, turned, turned - 6)  # from here between -1 and 6
    return value - chroma * torch.minimum(turned, 4 - turned).clamp(0, 1)
