"""How far people see the noise: SSIMULACRA2 of a crop around the mask, at viewing size.

See :mod:`unseg.ssimulacra2` for the measure. The whole image would dilute the noise on a small
object, and at its full size a photograph from a camera is seen by nobody at once: so a crop is
judged, the mask's bounding box with a margin, scaled down until its long side is at most
:data:`VIEWED` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
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
        self._before = [_viewed(plane, crop) for plane in _planes_of(before)]
        self._original: Original = prepare(_as_image(self._before))

    def score(self, after: Shaped[np.ndarray, "h w ..."]) -> float:
        """SSIMULACRA2 of a changed form, cut to the crop, of the original's shape; at most 100."""
        return self.score_of_planes(list(_planes_of(after)))

    def score_of_planes(self, after: Sequence[Shaped[np.ndarray, "_h _w"]]) -> float:
        """The same of one plane, or of red, green and blue, (h, w) each."""
        return self._score([_viewed(plane, self.crop) for plane in after])

    def score_of_change(self, change: Sequence[Float[np.ndarray, "_h _w"]]) -> float:
        """The same of the original with a change that was tried out at another size.

        Scaling down is linear: what is seen of the sum is the sum of what is seen.

        Args:
            change: one plane or three, (h, w) each, in steps, of the whole crop; with it the
                original stays in 0..255.
        """
        size, way = self.crop.size, cv2.INTER_AREA
        pairs = zip(self._before, change, strict=True)
        return self._score(
            [one + cv2.resize(moved, size, interpolation=way) for one, moved in pairs]
        )

    def _score(self, planes: Sequence[Shaped[np.ndarray, "_h _w"]]) -> float:
        return float(score(self._original, _as_image(planes)))


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


def judge_of(photo: Photo, mask: Bool[np.ndarray, "H W"]) -> Judge:
    """The judge of a photograph's changed forms.

    Args:
        photo: the original; of 16 bits, the range in use is what is seen.
        mask: (H, W), bool; true is foreground. Without any the whole image is judged.
    """
    crop = crop_around(mask)
    return Judge(crop, as_seen(photo, photo.pixels[crop.rows, crop.columns]))


def photo_score(
    before: Photo, after: Pixels, mask: Bool[np.ndarray, "H W"], judge: Judge | None = None
) -> float:
    """:func:`visibility_score` of a photograph; of 16 bits, the range in use is what is seen.

    Args:
        before: the original.
        after: changed pixels, of the same shape and dtype.
        mask: (H, W), bool.
        judge: :func:`judge_of` original and mask, where there is one already.
    """
    judge = judge or judge_of(before, mask)
    return judge.score(as_seen(before, after[judge.crop.rows, judge.crop.columns]))


def as_seen(photo: Photo, pixels: Pixels) -> Pixels:
    """Samples of a photo as a screen shows them: uint8, of 16 bits the range in use."""
    if photo.bits == 8:
        return pixels
    # Halves all go up, so that a change of whole steps stays one.
    return np.floor(photo.in_steps(pixels) + np.float32(0.5)).astype(np.uint8)


def _planes_of(values: Shaped[np.ndarray, "h w ..."]) -> Iterator[Shaped[np.ndarray, "_h _w"]]:
    """One channel after the other, as floats made of them take room."""
    if values.ndim == 2:
        yield values
        return
    for channel in range(values.shape[2]):
        yield cv2.extractChannel(values, channel)


def _viewed(plane: Shaped[np.ndarray, "_h _w"], crop: ViewedPart) -> Shaped[np.ndarray, "_h2 _w2"]:
    """A plane of the crop at the size at which it is judged: as it is, or float."""
    if plane.shape == crop.size[::-1]:
        return plane
    shown = cv2.resize(plane.astype(np.float32), crop.size, interpolation=cv2.INTER_AREA)
    return np.asarray(shown)


def _as_image(planes: Sequence[Shaped[np.ndarray, "_h _w"]]) -> Tensor:
    """Planes as the measure takes them: (1, 3, h, w), small ones continued by their mirror."""
    padded = []
    for plane in planes:
        down, across = (max(0, LEAST_CROP - side) for side in plane.shape)
        if down or across:
            plane = np.pad(plane, ((0, down), (0, across)), mode="symmetric")
        padded.append(plane)
    return torch.from_numpy(np.stack(padded)).expand(3, -1, -1)[None]
