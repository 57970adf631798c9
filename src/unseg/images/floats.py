"""Floating-point samples, such as reflectance in 0..1: steps of the range in use, and back.

What a photo holds of them is 255 x 256 + 1 whole numbers over the range in use, so that a step is
256 of them. Only the change is taken back to the file's own samples, which keep their precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo, Pixels
from unseg.remarks import Remark

#: Width of the range in use in a photo's samples; the lowest of them, below which is no data.
LEVELS, FIRST = 255 * 256, 1
#: Share of the data's range that the range without outliers is at most, where those are left out.
_PART = 0.25
#: Percentage of samples at each end that may be outliers; samples that are looked at.
_OUTSIDE, _LOOKED_AT = 0.1, 1 << 22
#: Samples that are converted at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Floats:
    """The samples of a file that has floating-point ones.

    Args:
        values: (H, W) or (H, W, 3), as the photo's pixels.
        nodata: the value that stands for no data, as all that is not finite does; or None.
        low: the lower end of the range in use.
        high: the upper end.
    """

    values: NDArray[Any]
    nodata: float | None = None
    low: float = 0.0
    high: float = 1.0

    @property
    def unit(self) -> float:
        """What one of a photo's samples is in the file's."""
        return (self.high - self.low) / LEVELS

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """A photo's samples of some values; 0 for no data."""
        exact = values.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            made = np.rint((exact - self.low) / self.unit).clip(0, LEVELS) + FIRST
        return np.where(self.given(values), made, 0).astype(np.uint16)

    def given(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values are data."""
        finite = np.isfinite(values)
        if self.nodata is None:
            return finite
        return finite & (values != np.asarray(self.nodata).astype(values.dtype))


def with_floats(photo: Photo, values: NDArray[Any], nodata: float | None) -> Photo:
    """A photo of floating-point samples; :func:`with_float_range` gives it its pixels."""
    pixels = np.zeros(values.shape, np.uint16)
    full = (FIRST, FIRST + LEVELS)
    return replace(photo, pixels=pixels, full=full, nodata=0, floats=Floats(values, nodata))


def with_float_range(photo: Photo, choice: str | tuple[float, float], name: str) -> Photo:
    """A photo whose range in use is known, and with it its pixels.

    Args:
        photo: with floats.
        choice: ``full`` is the range of the data, ``auto`` and ``data`` leave a thousandth at each
            end out where that stretches the range; or lowest and highest value.
        name: what to call the image in messages.

    Raises:
        UnsegError: when there is no data, or none in the range.
    """
    floats: Floats = photo.floats
    lowest, highest = _ends(floats, name)
    if isinstance(choice, tuple):
        low, high = (float(end) for end in choice)
        if highest < low or lowest > high:
            raise UnsegError(
                f"no sample is in the range {low:g}:{high:g}; they run from {lowest:g} to "
                f"{highest:g}: give --range the range in use"
            )
        remarks: list[Remark] = []
    else:
        low, high = (lowest, highest) if choice == "full" else _inner(floats, lowest, highest)
        if low == high:  # nothing to see
            low, high = min(low, 0.0), max(high, 0.0) or (0.0 if low else 1.0)
        text = (
            f"the samples are floating-point and use {low:g} to {high:g}: a step is "
            f"{(high - low) / 255:.3g}; use --range for another range"
        )
        remarks = [Remark(text)]
    found = replace(floats, low=low, high=high)
    if not np.isfinite(found.unit) or found.unit <= 0:
        raise UnsegError(f"the range {low:g}:{high:g} of {name} is too wide or narrow to use")
    pixels = np.empty_like(photo.pixels)
    for rows in _blocks(pixels):
        pixels[rows] = found.levels(floats.values[rows])
    return replace(photo, pixels=pixels, floats=found, remarks=(*photo.remarks, *remarks))


def changed_values(photo: Photo, name: str) -> NDArray[Any]:
    """The file's samples of a photo whose pixels were changed, in their own precision.

    No sample moves further than its pixel did, and none becomes no data.

    Raises:
        UnsegError: when the samples are too coarse to hold any change.
    """
    floats: Floats = photo.floats
    made = np.empty_like(floats.values)
    moved = False
    for rows in _blocks(made):
        made[rows] = _moved(floats, floats.values[rows], photo.pixels[rows])
        moved |= bool((floats.levels(floats.values[rows]) != photo.pixels[rows]).any())
    if moved and np.array_equal(made, floats.values, equal_nan=True):
        raise UnsegError(
            f"{name}: its floating-point samples are too coarse for steps of "
            f"{256 * floats.unit:g}: name a wider --range"
        )
    return made


def _moved(floats: Floats, values: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    before = floats.levels(values).astype(np.int32)
    change = pixels.astype(np.int32) - before
    exact = values.astype(np.float64)
    limit = np.abs(change)
    made, todo = values, np.ones(values.shape, bool)
    # Rounding to the file's precision may lead too far: then a little less is tried.
    for less in (0.0, 0.5, 1.0, 32.0):
        wanted = np.sign(change) * np.maximum(limit - less, 0) * floats.unit
        trial = (exact + wanted).astype(values.dtype)
        with np.errstate(invalid="ignore"):
            far = np.abs(trial.astype(np.float64) - exact) > limit * floats.unit * (1 + 1e-9)
            far |= np.abs(floats.levels(trial).astype(np.int32) - before) > limit
        made = np.where(todo, trial, made)
        todo = far | ~floats.given(trial)
        if not todo.any():
            break
    keep = todo | (change == 0)
    return np.where(keep, values, made)


def _ends(floats: Floats, name: str) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for rows in _blocks(floats.values):
        part = floats.values[rows]
        part = part[floats.given(part)]
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low > high:
        raise UnsegError(f"{name} holds no finite sample: leave it out")
    return low, high


def _inner(floats: Floats, lowest: float, highest: float) -> tuple[float, float]:
    """The range of the data, without outliers where few of them stretch it."""
    flat = floats.values.reshape(-1)
    flat = flat[:: max(1, flat.size // _LOOKED_AT)]
    flat = flat[floats.given(flat)].astype(np.float64)
    if not flat.size:
        return lowest, highest
    low, high = (float(end) for end in np.percentile(flat, (_OUTSIDE, 100 - _OUTSIDE)))
    return (low, high) if 0 < high - low <= _PART * (highest - lowest) else (lowest, highest)


def _blocks(values: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)
