"""Noise onto 8-bit pixels, in one pass over blocks of rows that stay in the processor's cache.

What :func:`unseg.noise.compose` and :func:`unseg.noise.quantise` say, in whole numbers: they are
the definition, and a test holds this to it. Changes are rounded before they are added, not after,
so one pixel in a hundred thousand, whose change is a half but for the last bit, is rounded the
other way; the bound holds for it as well.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from unseg.images.photo import Photo, Pixels
from unseg.noise import Budget

#: Pixels of a block: a few buffers of four bytes each fit into a core's second-level cache.
CACHED_PIXELS = 1 << 15


def suits(photo: Photo) -> bool:
    """Whether a sample is a step: 8 bits that are all in use, none of which stands for no data."""
    return (
        photo.bits == 8
        and (photo.low, photo.peak) == (0, 255)
        and photo.whole == (0, 255)
        and photo.nodata is None
    )


def add_steps(
    pixels: Pixels,
    noise: Float[Tensor, "c h w"],
    foreground: Bool[np.ndarray, "H W"],
    budget: Budget,
    *,
    cut: bool,
) -> Pixels:
    """Add a noise field to 8-bit pixels.

    Args:
        pixels: (H, W) or (H, W, 3), uint8.
        noise: (1 or 3, h, w), float, in [-1, 1]; resized bilinearly.
        foreground: (H, W), bool.
        budget: the bound, in 8-bit steps.
        cut: whether there is no noise outside the foreground.

    Returns:
        uint8 of the pixels' shape.
    """
    height, width = foreground.shape
    mask = np.ascontiguousarray(foreground).view(np.uint8)
    bounds = np.zeros(256, np.float32)
    bounds[:2] = (0 if cut else budget.background), budget.foreground
    whole = np.floor(bounds + np.float32(1e-6))
    binds = bool((whole != bounds).any())
    # OpenCV writes into whole rows alone; planes of a file may lie behind each other.
    pixels = np.ascontiguousarray(pixels)
    result = np.empty_like(pixels)
    rows = max(1, CACHED_PIXELS // width)
    for channel, field in enumerate(noise.contiguous().numpy()):
        # One channel after the other: at the photograph's size the floats take room.
        wide = field if field.shape == foreground.shape else _resized(field, width, height)
        lowest, highest, *_ = cv2.minMaxLoc(field)
        for start in range(0, height, rows):
            here = slice(start, min(height, start + rows))
            part = wide[here] if lowest >= -1 and highest <= 1 else wide[here].clip(-1, 1)
            # The product is rounded to the nearest whole step, halves to even.
            change = np.asarray(cv2.multiply(part, cv2.LUT(mask[here], bounds), dtype=cv2.CV_16S))
            if binds:
                limit = whole.astype(np.int16)[mask[here]]
                np.clip(change, -limit, limit, out=change)
            if pixels.ndim == 2:
                cv2.add(pixels[here], change, dst=result[here], dtype=cv2.CV_8U)
            else:  # the sum is cut off at 0 and 255
                made = cv2.add(cv2.extractChannel(pixels[here], channel), change, dtype=cv2.CV_8U)
                cv2.insertChannel(made, result[here], channel)
    return result


def _resized(field: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))


def row_weights(
    low: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Which rows a bilinear resize mixes (pixel centres, edges repeated).

    Args:
        low: rows there are.
        height: rows there will be.

    Returns:
        For each of the ``height`` rows: the row above, the row below, and (height, 1) the share
        of the latter.
    """
    at = (torch.arange(height) + 0.5) * (low / height) - 0.5
    at = at.clamp(0, low - 1)
    above = at.floor().long()
    below = (above + 1).clamp(max=low - 1)
    return above.numpy(), below.numpy(), (at - above)[:, None].numpy()


def widened(noise: Float[Tensor, "c h w"], width: int) -> Float[Tensor, "c h width"]:
    """A field resized bilinearly to a width."""
    if noise.shape[2] == width:
        return noise
    return F.interpolate(noise[None], (noise.shape[1], width), mode="bilinear")[0]
