"""How far people see the noise: SSIMULACRA2 of a crop around the mask, at viewing size.

See :mod:`unseg.ssimulacra2` for the measure. The whole image would dilute the noise on a small
object, and at its full size a photograph from a camera is seen by nobody at once: so a crop is
judged, the mask's bounding box with a margin, scaled down until its long side is at most
:data:`VIEWED` pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from unseg.images.photo import Photo, Pixels
from unseg.ssimulacra2 import Original, prepare, score

#: Long side, in pixels, at which a crop is judged.
VIEWED = 1280
#: Least side of a crop, in pixels. Images that are smaller are continued by their mirror image.
LEAST_CROP = 256
#: Margin on each side of the mask, as a share of the long side of its bounding box.
MARGIN = 0.1

_WORDS = (
    (90.0, "not seen when flickering"),
    (80.0, "not seen side by side"),
    (70.0, "seen when flickering"),
    (50.0, "seen, not annoying"),
    (-math.inf, "plainly visible"),
)


def words_of(found: float) -> str:
    """What people see at a score, in words.

    Args:
        found: SSIMULACRA2, at most 100.

    Returns:
        ``not seen when flickering`` (90 and more), ``not seen side by side`` (80), ``seen when
        flickering`` (70), ``seen, not annoying`` (50), or ``plainly visible``.
    """
    return next(words for least, words in _WORDS if found >= least)


@dataclass(frozen=True)
class ViewedPart:
    """The part of an image that is judged.

    Args:
        rows: of the image.
        columns: of the image.
        size: (width, height) at which the part is judged.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in the image."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def crop_around(mask: Bool[np.ndarray, "H W"]) -> ViewedPart:
    """The part to judge: around the foreground, or everything where there is none."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        rows, columns = np.arange(height), np.arange(width)
    margin = MARGIN * max(rows[-1] - rows[0], columns[-1] - columns[0])
    down = _span(int(rows[0]), int(rows[-1]) + 1, margin, height)
    across = _span(int(columns[0]), int(columns[-1]) + 1, margin, width)
    sides = across.stop - across.start, down.stop - down.start
    scale = min(1.0, VIEWED / max(sides))
    return ViewedPart(
        down, across, (max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale)))
    )


def _span(start: int, stop: int, margin: float, end: int) -> slice:
    """A range with its margin, of at least :data:`LEAST_CROP`, inside 0..end."""
    margin = max(margin, (LEAST_CROP - (stop - start)) / 2)
    start, stop = math.floor(start - margin), math.ceil(stop + margin)
    start, stop = start - max(0, stop - end), stop + max(0, -start)
    return slice(max(0, start), min(end, stop))


class Judge:
    """Judges changed forms of one original; what it needs of that is worked out once.

    Args:
        crop: where to look.
        before: (h, w, 3) or (h, w), samples in [0, 255] of the original, cut to the crop.
    """

    def __init__(self, crop: ViewedPart, before: Shaped[np.ndarray, "h w ..."]) -> None:
        self.crop = crop
        self._original: Original = prepare(_as_viewed(before, crop))

    def score(self, after: Shaped[np.ndarray, "h w ..."]) -> float:
        """SSIMULACRA2 of a changed form, cut to the crop, of the original's shape; at most 100."""
        return float(score(self._original, _as_viewed(after, self.crop)))


def visibility_score(
    before: Shaped[np.ndarray, "_H _W ..."],
    after: Shaped[np.ndarray, "_H2 _W2 ..."],
    mask: Bool[np.ndarray, "_H3 _W3"],
) -> float:
    """How far people see what was done to an image: SSIMULACRA2 of a crop around the mask.

    Args:
        before: (H, W, 3) RGB or (H, W) grey, uint8, or float in [0, 255].
        after: the same shape.
        mask: (H, W), bool; true is foreground. Without any the whole image is judged.

    Returns:
        At most 100, which is no difference; :func:`words_of` says what it means.

    Raises:
        ValueError: when the shapes differ.
    """
    if before.shape != after.shape or before.shape[:2] != mask.shape:
        raise ValueError(
            f"shapes differ: before {before.shape}, after {after.shape}, mask {mask.shape}"
        )
    crop = crop_around(mask)
    part = crop.rows, crop.columns
    return Judge(crop, before[part]).score(after[part])


def photo_score(before: Photo, after: Pixels, mask: Bool[np.ndarray, "H W"]) -> float:
    """:func:`visibility_score` of a photograph; of 16 bits, the range in use is what is seen.

    Args:
        before: the original.
        after: changed pixels, of the same shape and dtype.
        mask: (H, W), bool.
    """
    crop = crop_around(mask)
    part = crop.rows, crop.columns
    return Judge(crop, as_seen(before, before.pixels[part])).score(as_seen(before, after[part]))


def as_seen(photo: Photo, pixels: Pixels) -> Pixels:
    """Samples of a photo as a screen shows them: uint8, of 16 bits the range in use."""
    if photo.bits == 8:
        return pixels
    # Halves all go up, so that a change of whole steps stays one.
    return np.floor(photo.in_steps(pixels) + np.float32(0.5)).astype(np.uint8)


def _as_viewed(values: Shaped[np.ndarray, "h w ..."], crop: ViewedPart) -> Tensor:
    """A part of an image at the size at which it is judged: (1, 3, h2, w2), uint8 or float."""
    channels = [values] if values.ndim == 2 else list(np.moveaxis(values, 2, 0))
    planes = []
    for channel in channels:  # one after the other, as floats take room
        plane = channel
        if plane.shape != crop.size[::-1]:
            size, way = crop.size, cv2.INTER_AREA
            plane = np.asarray(cv2.resize(channel.astype(np.float32), size, interpolation=way))
        down, across = (max(0, LEAST_CROP - side) for side in plane.shape)
        planes.append(np.pad(plane, ((0, down), (0, across)), mode="symmetric"))
    return torch.from_numpy(np.stack(planes)).expand(3, -1, -1)[None]
