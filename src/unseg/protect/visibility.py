"""How easily the noise is seen: less of it where it would show, until the judge is content."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

from unseg.noise import Budget
from unseg.protect.judge import Judge, ViewedPart, crop_around
from unseg.remarks import Remark
from unseg.ssimulacra2 import LEAST, exposure, prepare

Visibility = Literal["low", "normal", "strong"]
DEFAULT: Visibility = "normal"

LIMITS: dict[Visibility, float | None] = {"low": 90.0, "normal": 85.0, "strong": None}
"""Least SSIMULACRA2 that every image is to keep (:mod:`unseg.protect.judge`); None asks nothing."""

#: Long side, in pixels, of the copy of a photograph's crop on which noise is tried out.
_WORKED = 2048
#: How much more noise texture carries: the gain goes with this power of what hides it. Of 0 (the
#: same everywhere) to 1, hand-made waves kept most of their energy at 0.35 to 0.5.
_POWER = 0.5
#: Tries of the search: pixels that are judged in all, least and most tries, tries more where the
#: best is far above the limit (whole steps make the score jump), and where none has kept it.
_EFFORT, _FEWEST, _MOST, _AGAIN, _MORE = 3_300_000, 3, 8, 2, 6
#: What a score may be above the limit; the search goes on for less.
_CLOSE = 0.5
#: Share of the noise's amplitude that, when no more is left, is worth a warning.
_LITTLE = 0.1
#: Pixels of which the level's effect is estimated; columns mirrored on each side.
_SAMPLED, _BESIDE = 20_000, 64


@dataclass(frozen=True)
class Softened:
    """Noise that is as hard to see as was asked.

    Args:
        noise: (3, h, w), float, in [-1, 1], nowhere above what it was.
        score: the judge's, of the image with this noise, rounded; None where it was not asked.
        kept: share of the noise's amplitude that is left, 0..1.
        remarks: what an owner should know.
        judge: of the image, where it was asked: the published file is judged once more.
    """

    noise: Tensor
    score: float | None = None
    kept: float = 1.0
    remarks: tuple[Remark, ...] = ()
    judge: Judge | None = None


def soften(
    noise: Float[Tensor, "3 h w"],
    image: Shaped[np.ndarray, "H W ..."],
    mask: Bool[np.ndarray, "H W"],
    budget: Budget,
    visibility: Visibility,
) -> Softened:
    """Scale noise down where it would be seen most, as far as the image needs it.

    Noise that the judge lets pass is left alone. Else it is multiplied by a map of gains, at most
    1: low where a smooth image would show it, high where texture hides it, times one level, which
    is searched so that the judge finds the image, in whole steps, just above the limit. For images
    with a crop of more than 2,048 pixels a copy of that length stands for the published pixels.

    Args:
        noise: (3, h, w), float, in [-1, 1]; of the image's size, or smaller.
        image: (H, W, 3) RGB or (H, W) grey, uint8, or float in [0, 255].
        mask: (H, W), bool; true is foreground.
        budget: the bound, in 8-bit steps.
        visibility: ``low``, ``normal`` or ``strong``, which leaves the noise as it is.
    """
    limit = LIMITS[visibility]
    if limit is None or not mask.any():
        return Softened(noise)
    trial = _Trial(noise, image, mask, budget)
    full = trial.score(None)
    if full >= limit:
        return Softened(noise, full, 1.0, (_unneeded(visibility, full),), trial.judge)
    power = _hiding(noise, image, mask, budget)
    tried = _resampled(power, trial.crop, image.shape[:2], trial.size)
    level, found, kept = _search(
        lambda gain: trial.score(np.minimum(tried * np.float32(gain), 1)),
        _kept(tried, trial.wave), full, limit, trial.tries,
    )  # fmt: skip
    gain = torch.from_numpy(np.minimum(power * np.float32(level), 1))
    remarks = (_little(visibility),) if kept < _LITTLE else ()
    return Softened(noise * gain.to(noise), found, kept, remarks, trial.judge)


class _Trial:
    """The judged crop of an image, in which noise is tried out as it would be published."""

    def __init__(
        self, noise: Tensor, image: NDArray[np.generic], mask: NDArray[np.bool_], budget: Budget
    ) -> None:
        crop = crop_around(mask)
        height, width = crop.shape
        scale = min(1.0, _WORKED / max(crop.shape))
        #: (height, width) of the copy that is worked on.
        self.size = max(1, round(height * scale)), max(1, round(width * scale))
        part = np.ascontiguousarray(image[crop.rows, crop.columns])
        inside = mask[crop.rows, crop.columns]
        self.crop, self.judge = crop, Judge(crop, part)
        self._scaled = self.size != crop.shape
        if self._scaled:
            part = cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_AREA)
            inside = cv2.resize(
                inside.view(np.uint8), self.size[::-1], interpolation=cv2.INTER_NEAREST
            ).view(bool)
        self._before = [part] if part.ndim == 2 else list(cv2.split(part))
        planes = noise[: len(self._before)].detach().float().cpu().numpy()
        bound = budget.amplitude(torch.from_numpy(inside).float()).numpy()
        #: (channels, h, w), what is added at a gain of 1, in steps.
        self.wave = np.stack([_resampled(one, crop, image.shape[:2], self.size) for one in planes])
        self.wave *= bound
        # Rounding must not step over a bound that is not a whole number; see noise.quantise.
        whole = np.floor(bound + 1e-6)
        self._most = None if (whole == bound).all() else whole.astype(np.int16)

    @property
    def tries(self) -> int:
        """How often the judge may be asked, so that large images take no longer."""
        return min(_MOST, max(_FEWEST, _EFFORT // (self.crop.size[0] * self.crop.size[1])))

    def score(self, gain: NDArray[np.float32] | None) -> float:
        """The judge's, of the image with the noise times a gain (h, w), in whole steps."""
        pairs = zip(self._before, self.wave, strict=True)
        if not self._scaled:
            return self.judge.score_of_planes([self._changed(*pair, gain) for pair in pairs])
        moved = [
            cv2.subtract(self._changed(before, wave, gain), before, dtype=cv2.CV_32F)
            for before, wave in pairs
        ]
        return self.judge.score_of_change(moved)

    def _changed(
        self,
        before: NDArray[Any],
        wave: NDArray[np.float32],
        gain: NDArray[np.float32] | None,
    ) -> NDArray[Any]:
        """A plane with its noise: rounded, halves to even, then added and cut off at 0 and 255."""
        if before.dtype != np.uint8:
            change = np.rint(wave if gain is None else wave * gain)
            change = change if self._most is None else change.clip(-self._most, self._most)
            return (before + change).clip(0, 255).astype(before.dtype)
        factor: Any = 1.0 if gain is None else gain  # OpenCV's stubs know no numbers here
        change = np.asarray(cv2.multiply(wave, factor, dtype=cv2.CV_16S))
        if self._most is not None:
            np.clip(change, -self._most, self._most, out=change)
        return np.asarray(cv2.add(before, change, dtype=cv2.CV_8U))


def _search(
    score_of: Callable[[float], float],
    kept_of: Callable[[float], float],
    full: float,
    limit: float,
    tries: int,
) -> tuple[float, float, float]:
    """The highest level whose score keeps the limit, nearly; with score and amplitude kept.

    What is missing to 100 goes nearly with a power of the amplitude that is kept, so each try
    follows the line, in logarithms, through those before it, as in regula falsi.
    """
    points = [(0.0, math.log(100 - full))]
    wanted = math.log(100 - limit - _CLOSE / 2)
    best = (0.0, 100.0, 0.0)
    above, below = 0.0, -math.inf
    for number in range(tries + _MORE):
        aim = _aim(points, wanted)
        if not below < aim < above:
            aim = above - math.log(1.5) if math.isinf(below) else (above + below) / 2
        level = _level_for(kept_of, math.exp(aim))
        found = score_of(level)
        if found >= limit:
            best, below = (level, found, math.exp(aim)), aim
        else:
            above = aim
        spare = best[1] - limit
        left = tries + (_AGAIN if spare > 3 * _CLOSE else 0)
        if limit <= found <= limit + _CLOSE or (number + 1 >= left and not math.isinf(below)):
            break
        points.append((aim, math.log(max(100 - found, 0.01))))
    return best


def _aim(points: list[tuple[float, float]], wanted: float) -> float:
    """Where the line through the two nearest points reaches what is wanted."""
    nearest = sorted(points, key=lambda point: abs(point[1] - wanted))[:2]
    at, missing = nearest[0]
    slope = 1.0
    if len(nearest) == 2 and nearest[1][0] != at:
        slope = min(4.0, max(0.3, (nearest[1][1] - missing) / (nearest[1][0] - at)))
    return at + (wanted - missing) / slope


def _level_for(kept_of: Callable[[float], float], share: float) -> float:
    """The level at which a share of the amplitude is kept."""
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if kept_of(math.exp(middle)) < share else (low, middle)
    return math.exp(low)


def _kept(power: NDArray[np.float32], wave: NDArray[np.float32]) -> Callable[[float], float]:
    """Share of the noise's amplitude that a level keeps, from a sample of the pixels."""
    weight = np.abs(wave).sum(axis=0).ravel()
    at = np.flatnonzero(weight)
    at = at[:: max(1, at.size // _SAMPLED)]
    chosen, weights = power.ravel()[at], weight[at] / max(float(weight[at].sum()), 1e-12)

    def kept(level: float) -> float:
        return float(np.minimum(chosen * np.float32(level), 1) @ weights)

    return kept


def _hiding(
    noise: Tensor, image: NDArray[np.generic], mask: NDArray[np.bool_], budget: Budget
) -> NDArray[np.float32]:
    """(h, w) of the noise's size: how well the image hides the noise, to the power that is used.

    Looked at at half that size: what shows is coarser than a pixel, and the gain has to be smooth.
    """
    height, width = noise.shape[1:]
    half = max(1, (width + 1) // 2), max(1, (height + 1) // 2)
    small = cv2.resize(np.ascontiguousarray(image), half, interpolation=cv2.INTER_AREA)
    bound = budget.amplitude(torch.from_numpy(_share_inside(mask, width, height))).numpy()
    planes = [
        cv2.resize(one * bound, half, interpolation=cv2.INTER_AREA)
        for one in noise.detach().float().cpu().numpy()
    ]
    change = np.dstack(planes)
    before = np.atleast_3d(small).astype(np.float32)
    after = (before + change).clip(0, 255)
    # The measure takes what lies beyond the sides as black, which would seem to hide noise there.
    rest = max(0, LEAST - half[1]), max(0, LEAST - half[0])
    around = (0, rest[0]), (_BESIDE, _BESIDE + rest[1]), (0, 0)
    pair = [
        torch.from_numpy(np.pad(one, around, mode="symmetric"))
        .permute(2, 0, 1)
        .expand(3, -1, -1)[None]
        .contiguous()
        for one in (before, after)
    ]
    shown = exposure(prepare(pair[0]), pair[1])[0].numpy()
    shown = shown[: half[1], _BESIDE : _BESIDE + half[0]]
    hidden = cv2.GaussianBlur(1 / (shown + 1e-4), (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    hidden = cv2.resize(hidden**_POWER, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(hidden, np.float32)


def _share_inside(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.float32]:
    """(height, width), how much of every pixel is inside, 0..1; in steps of 255ths where scaled."""
    if mask.shape == (height, width):
        return mask.astype(np.float32)
    full = mask.view(np.uint8) * np.uint8(255)
    shares = cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shares, np.float32) / np.float32(255)


def _resampled(
    values: NDArray[np.float32], crop: ViewedPart, whole: tuple[int, ...], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The crop of a map of any size over an image, at the size that is worked on."""
    height, width = values.shape[:2]
    if (height, width) == whole and size == crop.shape:
        return values[crop.rows, crop.columns]
    tall, wide = height / whole[0], width / whole[1]
    down, across = crop.shape[0] / size[0] * tall, crop.shape[1] / size[1] * wide
    top, left = crop.rows.start * tall, crop.columns.start * wide
    # Pixel centres lie at halves.
    matrix = np.array(
        [[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]], np.float64
    )
    return np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(values), matrix, size[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )
    )  # fmt: skip


def _unneeded(visibility: Visibility, score: float) -> Remark:
    same = [name for name, limit in LIMITS.items() if limit is None or score >= limit]
    return Remark(
        f"--visibility {visibility} changes nothing here: the whole bound shows no more than that, "
        f"so {' and '.join(same)} give the same"
    )


def _little(visibility: Visibility) -> Remark:
    return Remark(
        f"--visibility {visibility} leaves less than a tenth of the noise, which may protect "
        "nothing: look at the image, and try --visibility strong",
        warning=True,
    )
