"""How easily the noise is seen: less of it where a smooth image would show it, inside the bound."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from unseg.noise import Budget

Visibility = Literal["low", "normal", "strong"]
DEFAULT: Visibility = "normal"

LOSS: dict[Visibility, float | None] = {"low": 0.05, "normal": 0.13, "strong": None}
"""Largest loss of structural similarity that the noise may cause at any place; None is no limit."""

# Structural similarity's own window and constant (Wang et al., 2004), for 8-bit steps.
_SIGMA, _RADIUS, _C2 = 1.5, 5, (0.03 * 255) ** 2


def soften(
    noise: Tensor, image: Tensor, mask: Tensor, budget: Budget, visibility: Visibility
) -> Tensor:
    """Scale noise down where it would be seen most.

    Noise of variance v costs an image of variance s about v / (2 s + v + C2) of its structural
    similarity, so smooth areas show a noise that texture hides. It is also read most easily there:
    a weaker one tells a model as much. The noise is scaled so that this loss stays below a limit
    everywhere; the bound holds as before, as nothing is ever scaled up.

    Args:
        noise: (3, h, w), float, in [-1, 1].
        image: (3, h, w), float, in [0, 255].
        mask: (h, w), bool; true is foreground.
        budget: the bound, in 8-bit steps.
        visibility: ``low``, ``normal`` or ``strong``, which leaves the noise as it is.

    Returns:
        (3, h, w), float, in [-1, 1].
    """
    limit = LOSS[visibility]
    if limit is None:
        return noise
    image = image.to(noise)
    added = noise * budget.amplitude(mask.to(noise))
    mean = _blurred(image)
    variance = (_blurred(image * image) - mean * mean).clamp(min=0).mean(0)
    energy = _blurred(added * added).mean(0)
    allowed = limit / (1 - limit) * (2 * variance + _C2)
    return noise * (allowed / energy.clamp(min=1e-6)).clamp(max=1).sqrt()


def _blurred(maps: Tensor) -> Tensor:
    """(C, h, w) under structural similarity's Gaussian window; edges are repeated."""
    # OpenCV's separable filter takes a tenth of torch's time on a CPU.
    planes = np.ascontiguousarray(maps.permute(1, 2, 0).cpu().numpy())
    side = 2 * _RADIUS + 1
    soft = cv2.GaussianBlur(planes, (side, side), _SIGMA, borderType=cv2.BORDER_REPLICATE)
    return torch.from_numpy(soft).permute(2, 0, 1).to(maps)
