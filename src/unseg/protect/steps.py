"""Noise onto 8-bit pixels, in one pass over blocks of rows that stay in the processor's cache.

What :func:`unseg.noise.compose` and :func:`unseg.noise.quantise` say, in the same arithmetic: they
are the definition, and a test holds this to every pixel of it.
"""

from __future__ import annotations

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
    noise: Float[Tensor, "c h W"],
    foreground: Bool[np.ndarray, "H W"],
    budget: Budget,
    *,
    cut: bool,
) -> Pixels:
    """Add a noise field to 8-bit pixels.

    Args:
        pixels: (H, W) or (H, W, 3), uint8.
        noise: (1 or 3, h, W), float, in [-1, 1]; its rows are resized bilinearly to H.
        foreground: (H, W), bool.
        budget: the bound, in 8-bit steps.
        cut: whether there is no noise outside the foreground.

    Returns:
        uint8 of the pixels' shape.
    """
    height, width = foreground.shape
    field = noise.contiguous().numpy()
    above, below, weight = row_weights(field.shape[1], height)
    channels = [pixels] if pixels.ndim == 2 else [pixels[..., c] for c in range(pixels.shape[2])]
    result = np.empty_like(pixels)
    written = [result] if pixels.ndim == 2 else [result[..., c] for c in range(pixels.shape[2])]
    inside, outside = np.float32(budget.foreground), np.float32(budget.background)
    rounded_down = [np.floor(one + np.float32(1e-6)) for one in (inside, outside)]
    binds = rounded_down != [inside, outside]
    rows = max(1, CACHED_PIXELS // width)
    buffers = [np.empty((rows, width), np.float32) for _ in range(3)]
    for start in range(0, height, rows):
        stop = min(height, start + rows)
        here = slice(start, stop)
        n, image, other = (buffer[: stop - start] for buffer in buffers)
        mask = foreground[here]
        amplitude = np.where(mask, inside, np.float32(0) if cut else outside)
        limit = np.where(mask, *rounded_down) if binds else None
        for channel, plane in enumerate(channels):
            if field.shape[1] == height:
                np.clip(field[channel, here], -1, 1, out=n)
            else:
                np.take(field[channel], above[here], axis=0, out=n)
                np.take(field[channel], below[here], axis=0, out=other)
                np.multiply(n, 1 - weight[here], out=n)
                np.multiply(other, weight[here], out=other)
                np.add(n, other, out=n)
                np.clip(n, -1, 1, out=n)
            np.multiply(n, amplitude, out=n)
            np.copyto(image, plane[here])
            np.add(n, image, out=n)
            np.clip(n, 0, 255, out=n)
            np.subtract(n, image, out=n)
            np.rint(n, out=n)
            if limit is not None:
                np.clip(n, -limit, limit, out=n)
            # The sum is a whole number in 0..255: the change was rounded after it was clipped.
            np.add(n, image, out=n)
            np.copyto(written[channel][here], n, casting="unsafe")
    return result


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
