"""Black and white masks, however they were saved: shades that are no labels.

Drawing programs, resizing and JPEG leave shades along the edges of a mask. A label map with 255 as
void has small labels and a white rim. The rule of thumb that tells them apart: in a mask, white is
the bulk of what is not black, and what lies between is an edge and no area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: In 8-bit steps: what counts as black and, from the brightest value down, as white; the least that
#: the brightest may be; a light shade, which few sets of labels reach; a shade of an edge.
NEAR, LEAST_WHITE, LIGHT, SHADE = 8, 200, 200, 64
#: From this many shades on they are no labels, if light ones are among them.
MANY = 8
#: How near black and white an edge's shade lies, in pixels; a JPEG's ripples lie in its 8x8 blocks.
EDGE, BLOCK = 3, 8
#: Pixels counted at a time: OpenCV gives counts in single precision, which holds this many.
_EXACT = 1 << 24


@dataclass(frozen=True)
class BlackAndWhite:
    """A black and white mask.

    Args:
        white: (H, W), bool.
        soft: whether there were shades. They are cut at half of white, but antialiased edges are
            white as far as the object touches a pixel.
        doubtful: whether it may as well be a label map with void.
    """

    white: NDArray[np.bool_]
    soft: bool = False
    doubtful: bool = False


def black_and_white(values: NDArray[Any]) -> BlackAndWhite | None:
    """A mask of black and white; None where the values are labels.

    Args:
        values: (H, W), uint8 or uint16; in the latter, white is 65535.

    Example:
        >>> mask = np.full((9, 20), 255, np.uint8)
        >>> mask[:, :10] = 0
        >>> mask[:, 10] = 128
        >>> black_and_white(mask).white[0, 8:12].tolist()
        [False, False, True, True]
        >>> mask[:, 10:] = 3
        >>> black_and_white(mask) is None
        True
    """
    if not values.size:
        return None
    peak = int(np.iinfo(values.dtype).max)
    step = peak // 255
    count = _histogram(values, peak)
    top = int(np.flatnonzero(count)[-1])
    dark, light = NEAR * step, top - NEAR * step
    if top < LEAST_WHITE * step or not count[: dark + 1].any():
        return None
    low, high = int(count[1 : dark + 1].sum()), int(count[light:top].sum())
    between = count[dark + 1 : light]
    if not (low or high or between.any()):
        return BlackAndWhite(values == top) if top == peak else None
    white, shades = int(count[light:].sum()), int(np.count_nonzero(between))
    lightest = dark + 1 + int(np.flatnonzero(between)[-1]) if shades else 0
    if not _is_mask(values, dark, light, white, between, lightest / step, high > 0):
        return None
    if not (shades or high):
        # Black, white and a little that is almost black: traces of JPEG, or small labels and void.
        if white < 20 * low or not _are_ripples(values, dark, light):
            return None
        return BlackAndWhite(values > top / 2, soft=True, doubtful=True)
    # Of an antialiased edge the object covers a part of every pixel; ripples and blur lie outside.
    sharp = shades > 0 and _are_edges(values, 0, top, 2)
    return BlackAndWhite(values > (dark if sharp else top / 2), soft=True)


def _histogram(values: NDArray[Any], peak: int) -> NDArray[np.int64]:
    """How often each value from 0 to the peak comes; numpy would widen 8 bits to 64 first."""
    if values.dtype != np.uint8:
        return np.bincount(values.ravel(), minlength=peak + 1)
    count = np.zeros(peak + 1, np.int64)
    flat = np.ascontiguousarray(values).reshape(-1, 1)
    for start in range(0, len(flat), _EXACT):
        part = flat[start : start + _EXACT]
        count += cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    return count


def _is_mask(
    values: NDArray[Any],
    dark: int,
    light: int,
    white: int,
    between: NDArray[np.integer[Any]],
    lightest: float,
    ripples: bool,
) -> bool:
    """Whether shades are edges and no labels.

    Args:
        values: (H, W).
        dark: the last black.
        light: the first white.
        white: how many pixels are white.
        between: how many pixels there are of each value between black and white.
        lightest: of them, in 8-bit steps.
        ripples: whether some pixels are almost white, as JPEG leaves them and labels hardly are.
    """
    shades, grey = int(np.count_nonzero(between)), int(between.sum())
    if shades >= MANY and lightest >= LIGHT:
        if white > grey:
            return True
        black = np.count_nonzero(values <= dark)
        return bool(6 * white > grey and 4 * black > values.size) and not _has_areas(values, light)
    if _has_areas(values, light):
        return False
    if white <= grey:
        spread = shades >= 3 and lightest >= LIGHT / 2 and 3 * white > grey
        return spread and _are_edges(values, dark, light)
    return not shades or ripples or (lightest >= SHADE and _are_edges(values, dark, light))


def black_and_white_of_lossy(grey: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """A mask from a file whose values are not exact: shades near black and white, few between.

    Args:
        grey: (H, W), uint8.

    Returns:
        (H, W) bool; None when it is no black and white mask.
    """
    top = int(grey.max(initial=0))
    if top == 0:
        return np.zeros(grey.shape, bool)
    if top < LEAST_WHITE // 2:
        return None
    light = np.count_nonzero(grey > top * 0.75)
    between = grey.size - light - np.count_nonzero(grey < top * 0.25)
    return None if between > light else np.asarray(grey > top / 2)


def _has_areas(values: NDArray[Any], light: int) -> bool:
    """Whether there are areas of one value that is neither black nor white, as labels have."""
    kernel = np.ones((5, 5), np.uint8)
    labels = (values > 0) & (values < light)
    same = cv2.erode(values, kernel) == cv2.dilate(values, kernel)
    return bool(np.count_nonzero(same & labels) > 0.2 * np.count_nonzero(labels))


def _are_edges(values: NDArray[Any], dark: int, light: int, distance: int = EDGE) -> bool:
    """Whether what lies between black and white has both of them near, in pixels."""
    shades = (values > dark) & (values < light)
    # Beyond the image's border lies black: an object that is cut off there has an edge, too.
    around = np.pad(values <= dark, distance, constant_values=True)
    black = _near(around, distance)[distance:-distance, distance:-distance]
    near = black & _near(values >= light, distance)
    return bool(np.count_nonzero(shades & near) > 0.9 * np.count_nonzero(shades))


def _are_ripples(values: NDArray[Any], dark: int, light: int) -> bool:
    """Whether almost black pixels are spots on black near white ones.

    A label's area meets black along its outline only, or nowhere where it has a rim of void.
    """
    low = (values > 0) & (values <= dark)
    near = _near(values == 0, 1) & _near(values >= light, BLOCK)
    return bool(np.count_nonzero(low & near) > 0.9 * np.count_nonzero(low))


def _near(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """What lies within some pixels of a mask."""
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


def flatness(values: NDArray[Any]) -> float:
    """Share of neighbours in rows of (H, W) values that are equal, 0..1."""
    same = values[:, 1:] == values[:, :-1]
    return float(same.mean()) if same.size else 0.0
