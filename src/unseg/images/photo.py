"""An image in memory: its pixels as a viewer shows them, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.images import png
from unseg.remarks import Remark

#: uint8 or uint16 samples.
Pixels = NDArray[Any]


@dataclass(frozen=True)
class Photo:
    """An image's pixels in viewing orientation, and what is carried over to the written file.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.
        alpha: (H, W) of the same dtype, or None.
        format: Pillow's name of the file's format.
        icc: ICC profile, or None.
        exif: EXIF block without orientation, thumbnail and maker note, or None.
        chunks: PNG chunks that say how the samples are shown.
        remarks: what an owner should know of how the file was read.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    chunks: list[png.Chunk] = field(default_factory=list)
    remarks: tuple[Remark, ...] = ()

    @property
    def grey(self) -> bool:
        """Whether there is one channel, alpha not counted."""
        return self.pixels.ndim == 2

    @property
    def bits(self) -> int:
        """Bits a channel, 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def step(self) -> int:
        """Sample values in one 8-bit step: 1, or 257 in 16-bit images."""
        return 257 if self.bits == 16 else 1

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def mode(self) -> str:
        """Channels and bits, e.g. ``RGB8``, ``LA8`` or ``L16``."""
        return f"{'L' if self.grey else 'RGB'}{'' if self.alpha is None else 'A'}{self.bits}"


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation, 1..8 (EXIF 2.32, tag 0x0112), to (H, W, ...) pixels."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
