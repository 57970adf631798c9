"""An image in memory: its pixels as a viewer shows them, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images import png
from unseg.remarks import Remark

#: Largest image, in pixels; it keeps a decompression bomb and the memory bounded.
MAX_PIXELS = 64_000_000
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
        range: lowest and highest sample of the range in use; None is all that the dtype holds. A
            step of the bound is a 255th of it; see :mod:`unseg.images.ranges`.
        full: the range that the file's kind of samples can hold; None is the dtype's.
        dpi: pixels an inch, across and down, or None.
        bands: (H, W, n), what a file holds beyond colour and alpha, kept as it is; or None.
        container: what a writer of the same format carries over beyond all this, or None.
        location: whether the file says where the picture was taken.
        offset: what was added to the file's own samples, which are signed; 0 for none.
        mirror: what the file's own samples were taken from, which are bright when low; or None.
        nodata: the sample that stands for no data, or the lowest and highest of several: such
            samples are left as they are, and no other becomes one; or None.
        dropped: what the file holds that no written file carries over.
        turned: the EXIF orientation, 1..8, that was applied; 1 for none.
        floats: the file's own samples where they are floating-point, of which ``pixels`` are steps
            (:class:`~unseg.images.floats.Floats`); or None.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    chunks: list[png.Chunk] = field(default_factory=list)
    remarks: tuple[Remark, ...] = ()
    range: tuple[int, int] | None = None
    full: tuple[int, int] | None = None
    dpi: tuple[float, float] | None = None
    bands: Pixels | None = None
    container: Any = None
    location: bool = False
    offset: int = 0
    mirror: int | None = None
    nodata: int | tuple[int, int] | None = None
    dropped: tuple[str, ...] = ()
    turned: int = 1
    floats: Any = None

    @property
    def grey(self) -> bool:
        """Whether there is one channel, alpha not counted."""
        return self.pixels.ndim == 2

    @property
    def bits(self) -> int:
        """Bits a channel, 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def whole(self) -> tuple[int, int]:
        """The lowest and highest value that samples of this kind can have."""
        return self.full or (0, int(np.iinfo(self.pixels.dtype).max))

    @property
    def low(self) -> int:
        """The lowest sample of the range in use."""
        return self.whole[0] if self.range is None else self.range[0]

    @property
    def peak(self) -> int:
        """Width of the range in use; differences are measured against it."""
        low, high = self.whole if self.range is None else self.range
        return high - low

    @property
    def step(self) -> int:
        """Sample values in one step, a 255th of the range in use: 1, or 257 in full 16 bits."""
        return max(1, round(self.peak / 255))

    @property
    def stated_range(self) -> tuple[float, float]:
        """The range in use in the file's own samples."""
        if self.floats is not None:
            return self.floats.low, self.floats.high
        return self.own(self.low, self.low + self.peak)

    @property
    def stated_step(self) -> float:
        """A step in the file's own samples; a whole number where they are."""
        return self.step if self.floats is None else self.step * float(self.floats.unit)

    def own(self, low: int, high: int) -> tuple[int, int]:
        """A range of samples in the file's own."""
        if self.mirror is not None:
            return self.mirror - high, self.mirror - low
        return low - self.offset, high - self.offset

    def of_own(self, low: int, high: int) -> tuple[int, int]:
        """A range of the file's own samples in this photo's."""
        if self.mirror is not None:
            return self.mirror - high, self.mirror - low
        return low + self.offset, high + self.offset

    def in_steps(self, pixels: Pixels) -> NDArray[np.float32]:
        """Samples of this photo as models see them: float in [0, 255], the range cut off."""
        shifted = pixels.astype(np.float32) - np.float32(self.low)
        return (shifted / np.float32(self.step)).clip(0, 255)

    def is_nodata(self, pixels: Pixels) -> NDArray[np.bool_] | None:
        """Which samples of this photo's kind stand for no data; None where none can."""
        if self.nodata is None:
            return None
        if isinstance(self.nodata, int):
            return np.asarray(pixels == self.nodata)
        return (pixels >= self.nodata[0]) & (pixels <= self.nodata[1])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def mode(self) -> str:
        """Channels and bits, e.g. ``RGB8``, ``LA8``, ``L16`` or, of floats, ``L32F``."""
        bits = str(self.bits)
        if self.floats is not None:
            bits = f"{self.floats.values.dtype.itemsize * 8}F"
        return f"{'L' if self.grey else 'RGB'}{'' if self.alpha is None else 'A'}{bits}"


def check_size(width: int, height: int, name: str) -> None:
    """Refuse an image that is too large or empty.

    Raises:
        UnsegError: naming its size.
    """
    if width * height > MAX_PIXELS:
        raise UnsegError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels: expected at most "
            f"{MAX_PIXELS // 1_000_000}; make it smaller"
        )
    if not width * height:
        raise UnsegError(f"{name} is {width}x{height}: expected at least one pixel; copy it again")


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation, 1..8 (EXIF 2.32, tag 0x0112), to (H, W, ...) pixels."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
