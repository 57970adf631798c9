"""The only place that resizes for a model: SAM's letterbox and the way back.

An image's long side is scaled to the model's input (up or down), the short side follows, and
zeros fill the square on the right and at the bottom (Kirillov et al., Segment Anything, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Frame:
    """Where an image lies inside a model's square input.

    Args:
        height: the image's height in pixels.
        width: the image's width in pixels.
        size: side of the model's square input in pixels.

    Example:
        >>> Frame(480, 640, 1024).scaled
        (768, 1024)
    """

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.size) < 1:
            raise ValueError(f"{self} has an empty side: expected at least one pixel")

    @property
    def scale(self) -> float:
        """Model-input pixels per image pixel."""
        return self.size / max(self.height, self.width)

    @property
    def scaled(self) -> tuple[int, int]:
        """(height, width) of the image inside the input; SAM's rounding, at least one pixel."""
        return (
            max(1, int(self.height * self.scale + 0.5)),
            max(1, int(self.width * self.scale + 0.5)),
        )


def letterbox(
    image: Float[Tensor, "b 3 h w"], size: int
) -> tuple[Float[Tensor, "b 3 {size} {size}"], Frame]:
    """Turn images into a SAM encoder's input (differentiable).

    Args:
        image: (B, 3, H, W), float, RGB, in [0, 255]; any height and width.
        size: side of the model's square input.

    Returns:
        (B, 3, size, size) float, normalised by SAM's mean and standard deviation and then padded
        with zeros, and the frame that :func:`unletterbox` needs.
    """
    frame = Frame(image.shape[-2], image.shape[-1], size)
    resized = _resize(image, frame.scaled)
    mean = torch.tensor(PIXEL_MEAN, dtype=image.dtype, device=image.device).view(3, 1, 1)
    std = torch.tensor(PIXEL_STD, dtype=image.dtype, device=image.device).view(3, 1, 1)
    return _pad((resized - mean) / std, size), frame


def letterbox_mask(
    mask: Num[Tensor, "b 1 h w"] | Bool[Tensor, "b 1 h w"], size: int, grid: int
) -> Float[Tensor, "b 1 {grid} {grid}"]:
    """Bring masks to a grid inside a model's square input.

    Args:
        mask: (B, 1, H, W), bool or float in [0, 1].
        size: side of the model's square input, a multiple of ``grid``.
        grid: side of the grid, e.g. 4 x the embedding's side for SAM's mask prompt.

    Returns:
        (B, 1, grid, grid) float in [0, 1]: the share of each cell that the mask covers; padding
        is 0.

    Raises:
        ValueError: when ``size`` is not a multiple of ``grid``.
    """
    if size % grid:
        raise ValueError(f"grid {grid} does not divide the model's input size {size}")
    frame = Frame(mask.shape[-2], mask.shape[-1], size)
    values = mask if mask.is_floating_point() else mask.float()
    return F.avg_pool2d(_pad(_resize(values, frame.scaled), size), size // grid)


def unletterbox(
    grid_map: Float[Tensor, "b c g g"], frame: Frame
) -> Float[Tensor, "b c {frame.height} {frame.width}"]:
    """Bring maps on a grid of the model's input back to the image's pixels (differentiable).

    The padding is cut off at the grid's scale. The image's border may run through a grid cell;
    the resize keeps that fraction, so nothing is stretched.

    Args:
        grid_map: (B, C, g, g), float; covers the model's whole square input.
        frame: from :func:`letterbox`.

    Returns:
        (B, C, H, W) float, bilinear (area-weighted when the image is smaller than the grid).
    """
    cells = grid_map.shape[-1] / frame.size
    rows, columns = (side * cells for side in frame.scaled)
    content = grid_map[..., : math.ceil(rows), : math.ceil(columns)]
    # The half millionth keeps floor(cells * factor), which torch computes, from losing a pixel.
    factors = ((frame.height + 1e-6) / rows, (frame.width + 1e-6) / columns)
    resized = F.interpolate(
        content, scale_factor=factors, mode="bilinear", align_corners=False,
        recompute_scale_factor=False, antialias=True,
    )  # fmt: skip
    return resized[..., : frame.height, : frame.width]


def _resize(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bilinear, smoothed when shrinking, as SAM's own preprocessing does through Pillow."""
    if values.shape[-2:] == shape:
        return values
    return F.interpolate(values, shape, mode="bilinear", align_corners=False, antialias=True)


def _pad(values: Tensor, size: int) -> Tensor:
    return F.pad(values, (0, size - values.shape[-1], 0, size - values.shape[-2]))
