"""Original, protected and difference at 100 %, and what a network leaves of the noise."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.images.reader import read_photo, rgb_of
from unseg.masks.labels import read_label_map
from unseg.protect import memory
from unseg.protect.posted import PLATFORMS, left_over
from unseg.report.panels import amplified
from unseg.ui.session import Session

#: Sides, in pixels, of the part that is shown at 100 %: more fits no screen.
PART = (1600, 1200)
#: Times the difference is shown.
GAIN = 16
#: Bytes a pixel that comparing with a posted copy takes.
_POSTED_BYTES = 64


@dataclass(frozen=True)
class ShownPart:
    """A part of a photograph at 100 %.

    Args:
        original: the PNG's file.
        protected: likewise.
        difference: likewise.
        size: (width, height) of the part.
        whole: (width, height) of the photograph.
        middle: where the part's middle was asked for, as shares of width and height.
    """

    original: Path
    protected: Path
    difference: Path
    size: tuple[int, int]
    whole: tuple[int, int]
    middle: tuple[float, float]

    @property
    def cut(self) -> bool:
        """Whether the photograph is larger than the part."""
        return self.size != self.whole


class Pair:
    """A photograph and its protected form, read for a comparison.

    Args:
        session: whose result it is.
        name: of the photograph.

    Raises:
        UnsegError: when it was not protected, or a file cannot be read.
    """

    def __init__(self, session: Session, name: str) -> None:
        result, photo = session.result, session.photos.get(name)
        record = None if result is None else result.record(name)
        if result is None or photo is None or record is None:
            raise UnsegError(f"{name} is not protected yet: press Protect")
        if record.error is not None:
            raise UnsegError(record.error)
        self.session, self.record, self.name, self._result = session, record, name, result
        self.before = rgb_of(read_photo(photo.path, name, record.range or "full"))
        written = result.folder / record.output
        self.after = rgb_of(read_photo(written, record.output, record.range or "full"))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool: the mask that was stored."""
        assert self.record.mask is not None
        return read_label_map(self._result.folder / self.record.mask, self.name).values > 0

    def posted(self, platform: str) -> str:
        """What a network leaves of the noise, in words.

        Args:
            platform: a key of :data:`PLATFORMS`.
        """
        known = self._result.posted.get((self.name, platform))
        if known is None:
            known = self._posted(platform)
            self._result.posted[self.name, platform] = known
        return known

    def _posted(self, platform: str) -> str:
        if self.record.noise is None:
            return "nothing was changed, so there is nothing to lose"
        free = memory.available()
        if free is not None and self.before[..., 0].size * _POSTED_BYTES > free:
            return "not worked out, as memory does not hold it: use unseg posted"
        found = PLATFORMS[platform]
        return left_over(self.before, self.after, self.mask, found, self.name).sentence(found)

    def part(self, across: float | None = None, down: float | None = None) -> ShownPart:
        """A part at 100 %, as files of the session.

        Args:
            across: where its middle is, 0 (left) to 1; None is the middle of the mask.
            down: likewise, from the top.
        """
        height, width = self.before.shape[:2]
        if across is None or down is None:
            across, down = centre(self.mask)
        columns, rows = span(across, PART[0], width), span(down, PART[1], height)
        before, after = self.before[rows, columns], self.after[rows, columns]
        pictures = {
            "original": before,
            "protected": after,
            "difference": amplified(before, after, GAIN),
        }
        files = {}
        for kind, pixels in pictures.items():
            files[kind] = self.session.fresh(f"part-{kind}", ".png")
            files[kind].write_bytes(_png(pixels))
        size = before.shape[1], before.shape[0]
        return ShownPart(**files, size=size, whole=(width, height), middle=(across, down))


def span(middle: float, length: int, whole: int) -> slice:
    """So many pixels around a place.

    Example:
        >>> span(0.5, 10, 100), span(1.0, 10, 100), span(0.5, 10, 4)
        (slice(45, 55, None), slice(90, 100, None), slice(0, 4, None))
    """
    kept = min(length, whole)
    start = min(max(0, round(middle * whole) - kept // 2), whole - kept)
    return slice(start, start + kept)


def centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The middle of a mask's bounding box, as shares of width and height; of none the image's."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0.5, 0.5
    height, width = mask.shape
    return float(columns[0] + columns[-1]) / 2 / width, float(rows[0] + rows[-1]) / 2 / height


def viewer(part: ShownPart, address: Callable[[Path], str]) -> str:
    """The part as HTML: two pictures on one another, and a slider between them.

    Args:
        part: to show.
        address: of a file on the page.
    """
    width, height = part.size

    def picture(kind: str, path: Path, text: str) -> str:
        return (
            f'<img class="unseg-{kind}" alt="{text}" draggable="false" '
            f'src="{html.escape(address(path))}" width="{width}" height="{height}">'
        )

    where = f", a part of {part.whole[0]} x {part.whole[1]} pixels" if part.cut else ""
    return (
        '<div class="unseg-compare" data-shown="protected">'
        f'<div class="unseg-frame" tabindex="0"><div class="unseg-stack" '
        f'style="--wide:{width};--high:{height}">'
        + picture("original", part.original, "the original")
        + picture("protected", part.protected, "the protected photograph")
        + picture("difference", part.difference, f"the difference, {GAIN} times")
        + '<i class="unseg-edge"></i></div></div>'
        '<div class="unseg-tabs"><span>Right of the slider:</span>'
        '<button type="button" data-show="protected" aria-pressed="true">protected</button>'
        f'<button type="button" data-show="difference" aria-pressed="false">difference x {GAIN}'
        "</button></div>"
        '<input type="range" min="0" max="1000" value="500" class="unseg-slider" '
        'aria-label="where the original ends">'
        f'<p class="unseg-quiet">Left of the slider: the original. 100 %{where}.</p></div>'
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
