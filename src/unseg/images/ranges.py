"""The range of sample values that is in use: what a step of the bound is a 255th of.

12-bit scans, microscopes and X-ray detectors use a part of 16 bits. Steps of the whole would
drown what they show, and PSNR against the whole would not tell.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.floats import with_float_range
from unseg.images.photo import Photo, Pixels
from unseg.remarks import Remark

#: Which range is in use: ``auto``, ``data``, ``full``, or lowest and highest sample.
RangeChoice = Literal["auto", "data", "full"] | tuple[float, float]

#: Share of the whole range above which the data count as using all of it.
_PART = 0.25
#: Width of a range below which steps of one sample are more than twice what they should be.
_FEW = 128
#: Percentage of samples at each end that may lie outside: hot pixels, padding, burnt-in marks.
_OUTSIDE = 0.1
#: Samples that are counted at a time.
_COUNTED = 1 << 22


def with_range(photo: Photo, choice: RangeChoice = "auto", name: str = "the image") -> Photo:
    """A photo whose range in use is known.

    Args:
        photo: of 8 bits, which always use all of them, of 16, or of floating-point samples.
        choice: ``full`` is all that the samples can hold; ``data`` the range of the data, a
            thousandth at each end not counted where it makes a difference; ``auto`` keeps a range
            that the file states, takes ``data`` where that is at most a quarter of the whole, and
            else ``full``; or the lowest and the highest of the file's own samples. Of floats,
            see :func:`unseg.images.floats.with_float_range`.
        name: what to call the image in messages.

    Raises:
        UnsegError: when the samples cannot have the named range.

    Example:
        >>> scan = Photo(np.linspace(960, 1196, 64, dtype=np.uint16).reshape(8, 8))
        >>> found = with_range(scan)
        >>> found.range, found.step, with_range(scan, "full").step
        ((960, 1196), 1, 257)
    """
    if photo.floats is not None:
        return with_float_range(photo, choice, name)
    if photo.bits == 8:
        return photo
    if isinstance(choice, tuple):
        return _named(photo, choice)
    if choice == "full":
        return replace(photo, range=None)
    if choice == "auto" and photo.range is not None:
        return photo
    found = _data_range(photo)
    low, high = photo.whole
    if choice == "auto" and found[1] - found[0] > _PART * (high - low):
        return replace(photo, range=None)
    made = replace(photo, range=found)
    remarks = [_used(made)]
    if made.peak < _FEW:
        text = (
            f"only {made.peak + 1} sample values are in use, so a step of one is more than a 255th "
            "of them: give a smaller --eps"
        )
        remarks.append(Remark(text, warning=True))
    return replace(made, remarks=(*photo.remarks, *remarks))


def number_of(text: str) -> float:
    """A finite number of a range; a whole one as an int.

    Raises:
        ValueError: when it is none.

    Example:
        >>> number_of("4095"), number_of("0.25"), number_of("1.0")
        (4095, 0.25, 1)
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return int(value) if value.is_integer() else value


def _used(photo: Photo) -> Remark:
    low, high = photo.own(*photo.whole)
    used = photo.stated_range
    return Remark(
        f"the samples use {used[0]} to {used[1]} of {low} to {high}: a step is {photo.step}; "
        "use --range for another range"
    )


def _named(photo: Photo, choice: tuple[float, float]) -> Photo:
    low, high = (int(end) for end in choice)
    first, last = photo.own(*photo.whole)
    if not (first <= low < high <= last and (low, high) == choice):
        raise UnsegError(
            f"the range {choice[0]}:{choice[1]} does not fit samples of {first} to {last}: give "
            "--range the lowest and the highest sample in use, such as 0:4095"
        )
    lowest, highest = photo.own(int(photo.pixels.min()), int(photo.pixels.max()))
    if highest < low or lowest > high:
        raise UnsegError(
            f"no sample is in the range {low}:{high}; they run from {lowest} to {highest}: give "
            "--range the range in use"
        )
    return replace(photo, range=photo.of_own(low, high))


def _data_range(photo: Photo) -> tuple[int, int]:
    """Lowest and highest sample; without the outermost where few of them stretch the range."""
    first, last = photo.whole
    pixels = photo.pixels
    empty = photo.is_nodata(pixels)
    if empty is not None and not empty.all():
        pixels = pixels[~empty]
    low, high = int(pixels.min()), int(pixels.max())
    if high - low > _PART * (last - first):
        reached = np.cumsum(_counts(pixels)) / pixels.size * 100
        inner = (
            int(np.searchsorted(reached, _OUTSIDE, side="right")),
            int(np.searchsorted(reached, 100 - _OUTSIDE)),
        )
        if inner[1] - inner[0] <= _PART * (last - first):
            low, high = inner
    if low == high:  # nothing to see: as many bits as the value needs
        return first, min(last, first + (1 << max(1, (high - first).bit_length())) - 1)
    return low, high


def _counts(pixels: Pixels) -> NDArray[np.int64]:
    """How often each value occurs, counted in parts: counting takes eight bytes a sample."""
    flat = pixels.reshape(-1)
    total = np.zeros(1 << 16, np.int64)
    for start in range(0, flat.size, _COUNTED):
        total += np.bincount(flat[start : start + _COUNTED], minlength=total.size)
    return total
