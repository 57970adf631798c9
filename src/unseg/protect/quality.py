"""What a protected image differs by: the largest change, what is seen of it, PSNR, SSIM."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unseg.images.photo import Photo, Pixels
from unseg.noise import Change, measure
from unseg.protect.judge import VIEWED, Judge, as_seen, photo_score

#: Pixels worked on at a time, so that memory does not grow with the photograph.
BLOCK_PIXELS = 1 << 18

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True)
class Quality:
    """Difference between an image and its protected form.

    Args:
        change: largest change inside and outside the mask, in steps of the range in use.
        psnr: peak signal-to-noise ratio in dB, None when the images are equal.
        ssim: structural similarity at viewing size, None when a side is below 11 pixels. It says
            little of what people see.
        visibility: the judge's score, at most 100; see :mod:`unseg.protect.judge`.
    """

    change: Change
    psnr: float | None
    ssim: float | None
    visibility: float


@dataclass(frozen=True)
class Survival:
    """How much of the noise a lossy file kept.

    Args:
        correlation: Pearson's, of the noise that was added and the change that was read back.
        energy: squared change read back over squared noise added; 1 is lossless, and lossy
            compression's own error adds to it.
    """

    correlation: float
    energy: float


def row_blocks(height: int, width: int) -> Iterator[slice]:
    """Slices of rows that hold about :data:`BLOCK_PIXELS` each."""
    rows = max(1, BLOCK_PIXELS // width)
    for start in range(0, height, rows):
        yield slice(start, min(height, start + rows))


def compare(
    before: Photo,
    after: Photo,
    foreground: NDArray[np.bool_],
    judge: Judge | None = None,
    *,
    whole: bool = False,
) -> Quality:
    """Compare two images of the same size and kind, alpha not counted.

    Args:
        before: the original.
        after: the protected image, of the same shape and dtype.
        foreground: (H, W), bool.
        judge: of the original, where there is one already.
        whole: whether SSIM is that of the full size, as it was up to manifests of format 3.
    """
    if whole:
        similar = ssim(before.pixels, after.pixels, before.step, before.low)
    else:
        similar = viewed_ssim(before, after.pixels)
    return Quality(
        largest_change(before, after, foreground),
        psnr(before.pixels, after.pixels, before.peak),
        similar,
        photo_score(before, after.pixels, foreground, judge),
    )


def largest_change(before: Photo, after: Photo, foreground: NDArray[np.bool_]) -> Change:
    """:func:`unseg.noise.measure` block by block, in steps of the range in use."""
    if before.pixels.dtype == np.uint8:
        found = _largest_of_8_bits(before.pixels, after.pixels, foreground)
        return Change(found.inside / before.step, found.outside / before.step)
    inside = outside = 0.0
    for rows in row_blocks(*foreground.shape):
        found = measure(
            _channels_first(before.pixels[rows]),
            _channels_first(after.pixels[rows]),
            torch.from_numpy(foreground[rows]),
        )
        inside, outside = max(inside, found.inside), max(outside, found.outside)
    return Change(inside / before.step, outside / before.step)


def _largest_of_8_bits(before: Pixels, after: Pixels, foreground: NDArray[np.bool_]) -> Change:
    """The same in whole samples, which need no wider type."""
    largest = []
    change, *others = cv2.split(cv2.absdiff(before, after))
    for other in others:
        cv2.max(change, other, dst=change)
    mask = np.ascontiguousarray(foreground).view(np.uint8)
    for here in (mask, 1 - mask):
        largest.append(cv2.minMaxLoc(change, here)[1] if here.any() else 0.0)
    return Change(*map(float, largest))


def psnr(before: Pixels, after: Pixels, peak: int = 255) -> float | None:
    """Peak signal-to-noise ratio in dB; None when the images are equal.

    Args:
        before: (H, W) or (H, W, 3).
        after: the same shape.
        peak: width of the range in use.
    """
    total = _squared_change(before, after)
    if total == 0:
        return None
    return 10 * math.log10(peak**2 * before.size / total)


def _squared_change(before: Pixels, after: Pixels) -> float:
    """Sum of the squared differences; of 8 bits it is a whole number."""
    if before.dtype == np.uint8:
        return float(round(cv2.norm(before, after, cv2.NORM_L2SQR)))  # it squares a root
    total = 0.0
    for rows in row_blocks(before.shape[0], before.shape[1]):
        change = before[rows].astype(np.float32) - after[rows].astype(np.float32)
        total += float(np.square(change, out=change).sum(dtype=np.float64))
    return total


def viewed_ssim(before: Photo, after: Pixels) -> float | None:
    """:func:`ssim` at viewing size: the long side scaled down to at most 1280 pixels.

    A window of 11 pixels says nothing of a photograph that nobody sees pixel by pixel; Wang's own
    program scales down first, too. What a screen shows has 8 bits, before and after scaling.

    Args:
        before: the original.
        after: changed pixels of its shape and dtype.
    """
    longest = max(before.size)
    if longest <= VIEWED:
        return ssim(before.pixels, after, before.step, before.low)
    size = [max(1, round(side * VIEWED / longest)) for side in before.size]
    shown = [
        cv2.resize(as_seen(before, one), size, interpolation=cv2.INTER_AREA)
        for one in (before.pixels, after)
    ]
    return ssim(shown[0], shown[1])


def ssim(before: Pixels, after: Pixels, step: int = 1, low: int = 0) -> float | None:
    """Structural similarity (Wang et al., 2004): Gaussian window of 11 pixels, sigma 1.5.

    The mean over channels and over all pixels whose window lies inside the image.

    Args:
        before: (H, W) or (H, W, 3).
        after: the same shape.
        step: sample values in one 8-bit step.
        low: the lowest sample of the range in use.

    Returns:
        At most 1, or None when a side is below 11 pixels.
    """
    height, width = before.shape[:2]
    if min(height, width) <= 2 * _RADIUS:
        return None
    inner = slice(_RADIUS, -_RADIUS)
    total, count = 0.0, 0
    for rows in row_blocks(height - 2 * _RADIUS, width):
        # Five rows more on each side: with them a block gives what the whole image would.
        part = slice(rows.start, rows.stop + 2 * _RADIUS)
        x, y = (_in_steps(one[part], step, low) for one in (before, after))
        mean_x, mean_y = _blur(x), _blur(y)
        covariance = _blur(x * y)
        np.multiply(x, x, out=x)
        np.multiply(y, y, out=y)
        x += y
        variances = _blur(x)
        product = mean_x * mean_y
        np.multiply(mean_x, mean_x, out=mean_x)
        np.multiply(mean_y, mean_y, out=mean_y)
        squares = np.add(mean_x, mean_y, out=mean_x)
        covariance -= product
        variances -= squares
        # (2 product + c1) (2 covariance + c2) / ((squares + c1) (variances + c2))
        for factor, constant in ((product, _C1), (covariance, _C2)):
            factor *= 2
            factor += constant
        squares += _C1
        variances += _C2
        quotient = np.multiply(product, covariance, out=product)
        quotient /= np.multiply(squares, variances, out=squares)
        valid = quotient[inner, inner]
        total, count = total + float(valid.sum(dtype=np.float64)), count + valid.size
    return total / count


def survival(before: Pixels, intended: Pixels, after: Pixels) -> Survival:
    """How much of the noise is left after lossy compression.

    Args:
        before: the original, (H, W) or (H, W, 3).
        intended: with noise, before compression.
        after: with noise, read back.
    """
    a, k, aa, kk, ak = _sums(before, intended, after)
    n = before.size
    spread = math.sqrt(max(0.0, aa - a * a / n) * max(0.0, kk - k * k / n))
    return Survival((ak - a * k / n) / spread if spread else 0.0, kk / aa if aa else 0.0)


def _sums(before: Pixels, intended: Pixels, after: Pixels) -> tuple[float, ...]:
    """Sums of the added and of the kept change, of their squares, and of their product."""
    if before.dtype == np.uint8:  # whole numbers, from samples as they are
        start, *totals = (sum(cv2.sumElems(one)) for one in (before, intended, after))
        added, kept = _squared_change(before, intended), _squared_change(before, after)
        product = (added + kept - _squared_change(intended, after)) / 2
        return totals[0] - start, totals[1] - start, added, kept, product
    sums = np.zeros(5)
    for rows in row_blocks(before.shape[0], before.shape[1]):
        put = intended[rows].astype(np.float64) - before[rows]
        left = after[rows].astype(np.float64) - before[rows]
        sums += [put.sum(), left.sum(), (put**2).sum(), (left**2).sum(), (put * left).sum()]
    return tuple(map(float, sums))


def _in_steps(samples: Pixels, step: int, low: int) -> NDArray[np.float32]:
    values = samples.astype(np.float32)
    if (step, low) != (1, 0):
        values -= np.float32(low)
        values /= np.float32(step)
    return values


def _blur(values: NDArray[np.float32]) -> NDArray[np.float32]:
    size = 2 * _RADIUS + 1
    return np.asarray(cv2.GaussianBlur(values, (size, size), _SIGMA), np.float32)


def _channels_first(pixels: Pixels) -> torch.Tensor:
    values = torch.from_numpy(pixels.astype(np.int32))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)
