"""Photographs that lie decoded on the device a victim trains on, and crops of them in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.models.constants import constant


class Stack:
    """Arrays of different sizes as one tensor of bytes, each in the upper left corner.

    Args:
        arrays: (H, W, C) uint8 each.
        device: where they lie.
    """

    def __init__(self, arrays: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        self.sizes = np.array([array.shape[:2] for array in arrays])
        height, width = self.sizes.max(axis=0)
        filled = np.zeros((len(arrays), arrays[0].shape[2], height, width), dtype=np.uint8)
        for place, array in zip(filled, arrays, strict=True):
            place[:, : array.shape[0], : array.shape[1]] = array.transpose(2, 0, 1)
        self.pixels = torch.from_numpy(filled).to(device)

    def crops(
        self,
        numbers: NDArray[np.int64],
        matrices: NDArray[np.float64],
        side: int,
        *,
        smooth: int = 3,
        fill: Sequence[float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Square crops of some of the arrays, as a trainer's loader makes them.

        Args:
            numbers: which arrays, B of them.
            matrices: (B, 2, 3) from an array's pixels to the crop's: scales, flips and shifts.
            side: of the crops, in pixels.
            smooth: channels that are resampled by a triangle as wide as a pixel of the coarser
                grid, which keeps shrunken crops free of aliasing; the others take the nearest.
            fill: what lies beyond the borders of smooth channels; by default the reflection.

        Returns:
            (B, smooth, side, side) float in [0, 255] and (B, C - smooth, side, side) uint8.
        """
        shift, scale = matrices[:, (1, 0), 2], matrices[:, (1, 0), (1, 0)]  # (B, 2): y, x
        ends = self.sizes[numbers] - 1
        centres = (np.arange(side) - shift[..., None]) / scale[..., None]  # (B, 2, side)
        if fill is None:
            centres = _reflected(centres, ends[..., None])
        # On a CPU one at a time, because what fits into its caches is quicker.
        count = len(centres)
        parts = [slice(i, i + 1) for i in range(count)]
        parts = parts if self.pixels.device.type == "cpu" else [slice(0, count)]
        found = [
            self._crops(numbers[part], centres[part], abs(scale[part]), ends[part], smooth, fill)
            for part in parts
        ]
        soft, hard = zip(*found, strict=True)
        return torch.cat(soft), torch.cat(hard)

    def _crops(
        self,
        numbers: NDArray[np.int64],
        centres: NDArray[np.float64],
        scale: NDArray[np.float64],
        ends: NDArray[np.int64],
        smooth: int,
        fill: Sequence[float] | None,
    ) -> tuple[Tensor, Tensor]:
        device = self.pixels.device
        narrow = scale.clip(max=1)
        reach = math.ceil(1 / float(narrow.min()))
        # Only what any of the crops shows is read.
        first = (centres.min(axis=(0, 2)).astype(int) - reach).clip(min=0)
        last = np.minimum(centres.max(axis=(0, 2)).astype(int) + reach + 1, ends.max(axis=0))
        window = [slice(low, max(low, high) + 1) for low, high in zip(first, last, strict=True)]

        def there(array: NDArray[Any]) -> Tensor:
            # Without waiting for what the device has still to do.
            return torch.from_numpy(array).to(device, non_blocking=True)

        chosen = there(numbers)
        places = there((centres - first[:, None]).astype(np.float32))
        limits = there(np.stack([narrow, ends - first]).astype(np.float32))
        pixels = self.pixels[:, :, window[0], window[1]][chosen]
        rows, columns = (
            _weights(
                places[:, axis], limits[0, :, axis], limits[1, :, axis], pixels.shape[2 + axis],
                None if fill is None else reach,
            )
            for axis in (0, 1)
        )  # fmt: skip
        soft = _resampled(pixels[:, :smooth], rows, columns)
        if fill is not None:
            inside = rows.sum(2)[:, :, None] * columns.sum(2)[:, None]
            soft = soft + (1 - inside)[:, None] * constant(tuple(fill), device)
        nearest = places.round().clamp(min=0).minimum(limits[1][..., None]).long()
        y, x = nearest.unbind(1)
        which = torch.arange(len(chosen), device=device)[:, None, None]
        hard = pixels[:, smooth:].permute(0, 2, 3, 1)[which, y[:, :, None], x[:, None, :]]
        return soft, hard.permute(0, 3, 1, 2)


def _reflected(places: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places on an axis mirrored at its first and last pixel until they lie between them."""
    period = 2 * ends.clip(min=1)
    turned = places % period
    return np.minimum(np.minimum(turned, period - turned), ends)


def _weights(
    centres: Tensor, narrow: Tensor, ends: Tensor, length: int, reach: int | None
) -> Tensor:
    """How much of every pixel of an axis a pixel of the crop takes.

    Args:
        centres: (B, side) places on the axis.
        narrow: (B,) scales of at most 1: the triangle reaches 1 / narrow pixels.
        ends: (B,) last pixel of the axis.
        length: pixels that are there to take from.
        reach: pixels of the widest triangle, where what lies beyond the ends counts.

    Returns:
        (B, side, length) float; sums to 1 where nothing lies beyond the ends.
    """
    pixels = torch.arange(length, device=centres.device)
    narrow = narrow[:, None, None]
    found = (1 - (pixels - centres[..., None]).abs() * narrow).clamp(min=0)
    found = found * (pixels <= ends[:, None, None])
    if reach is None:
        return found / found.sum(2, keepdim=True)
    around = torch.arange(-reach, reach + 1, device=centres.device)
    part = centres[..., None] - centres[..., None].floor()
    whole = (1 - (around - part).abs() * narrow).clamp(min=0).sum(2, keepdim=True)
    return found / whole


def _resampled(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, C, H, W) uint8 with weights (B, S, H) and (B, S, W) to (B, C, S, S) float."""
    count, channels, height, width = pixels.shape
    side = rows.shape[1]
    # Two products of matrices: quick on every device, and the same in every run.
    wide = torch.bmm(pixels.reshape(count, -1, width).float(), columns.transpose(1, 2))
    tall = wide.view(count, channels, height, side).transpose(1, 2).reshape(count, height, -1)
    return torch.bmm(rows, tall).view(count, side, channels, side).transpose(1, 2)
