"""How easily the noise is seen: less of it where a smooth image would show it, inside the bound."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from unseg.noise import Budget
from unseg.protect.quality import ssim

Visibility = Literal["low", "normal", "strong"]
DEFAULT: Visibility = "normal"

SIMILARITY: dict[Visibility, float | None] = {"low": 0.985, "normal": 0.972, "strong": None}
"""Structural similarity that every image is to keep; None asks for nothing."""

# Structural similarity's own window and constant (Wang et al., 2004), for 8-bit steps.
_SIGMA, _RADIUS, _C2 = 1.5, 5, (0.03 * 255) ** 2
#: Pixels on which an image is judged; of larger ones, bands of rows.
_JUDGED, _BANDS = 300_000, 6
#: Halvings of the range of limits, which is searched on a logarithmic scale.
_SEARCH, _LOWEST, _HIGHEST = 7, 0.002, 0.8


def soften(
    noise: Float[Tensor, "3 h w"],
    image: Float[Tensor, "3 h w"],
    mask: Bool[Tensor, "h w"],
    budget: Budget,
    visibility: Visibility,
) -> Float[Tensor, "3 h w"]:
    """Scale noise down where it would be seen most, as far as the image needs it.

    Noise of energy v costs an image of variance s about v / (2 s + v + C2) of its structural
    similarity: smooth areas show a noise that texture hides. Images that stay as similar as is
    asked are left alone, and most photographs of things are. In the others that share is cut to a
    limit, the same everywhere and the largest that will do. The bound holds as before, as nothing
    is ever scaled up.

    Args:
        noise: (3, h, w), float, in [-1, 1].
        image: (3, h, w), float, in [0, 255].
        mask: (h, w), bool; true is foreground.
        budget: the bound, in 8-bit steps.
        visibility: ``low``, ``normal`` or ``strong``, which leaves the noise as it is.

    Returns:
        (3, h, w), float, in [-1, 1].
    """
    wanted = SIMILARITY[visibility]
    if wanted is None:
        return noise
    before = _planes(image)
    added = _planes(noise * budget.amplitude(mask.to(noise)))
    whole = np.ones(before.shape[:2], np.float32)
    if _similar(before, added, whole, wanted):
        return noise
    mean = _blurred(before)
    room = 2 * (_blurred(before * before) - mean * mean).clip(min=0).mean(axis=2) + _C2
    energy = _blurred(added * added).mean(axis=2).clip(min=1e-6)

    def gain(limit: float) -> NDArray[np.float32]:
        return np.sqrt((limit / (1 - limit) * room / energy).clip(max=1)).astype(np.float32)

    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    for _ in range(_SEARCH):
        middle = (low + high) / 2
        if _similar(before, added, gain(float(np.exp(middle))), wanted):
            low = middle
        else:
            high = middle
    return noise * torch.from_numpy(gain(float(np.exp(low)))).to(noise)


def _similar(
    before: Float[np.ndarray, "h w 3"],
    added: Float[np.ndarray, "h w 3"],
    gain: Float[np.ndarray, "h w"],
    wanted: float,
) -> bool:
    """Whether an image with so much of its noise, rounded, is as similar as is wanted."""
    total = 0.0
    parts = _bands(*before.shape[:2])
    for rows in parts:
        after = (before[rows] + added[rows] * gain[rows, :, None]).round().clip(0, 255)
        found = ssim(before[rows], after)
        total += 1.0 if found is None else found
    return total / len(parts) >= wanted


def _bands(height: int, width: int) -> list[slice]:
    """Rows to judge: all, or evenly spaced bands of a large image."""
    rows = max(8 * _RADIUS, _JUDGED // (width * _BANDS))
    if rows * _BANDS >= height:
        return [slice(0, height)]
    starts = np.linspace(0, height - rows, _BANDS).round().astype(int).tolist()
    return [slice(start, start + rows) for start in starts]


def _planes(maps: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "h w 3"]:
    """(3, h, w) to (h, w, 3)."""
    return np.ascontiguousarray(maps.detach().float().permute(1, 2, 0).cpu().numpy())


def _blurred(planes: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    side = 2 * _RADIUS + 1
    soft = cv2.GaussianBlur(planes, (side, side), _SIGMA, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)
