"""What an owner points at in one image: boxes around objects, points on them and beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.models.clicked import AskedImage, Box, Point
from unseg.models.sam.base import SamBase


@dataclass(frozen=True)
class Clicks:
    """The prompts of one image, in pixels of the image as it is shown (EXIF orientation applied).

    Every box is an object of its own, and points inside it say more of it. Points outside all
    boxes are asked together, as of one object; a point that the answer leaves out is asked alone.

    Args:
        points: x and y of points on objects.
        off: x and y of points that are on none.
        boxes: left, top, right, bottom.

    Raises:
        UnsegError: when there is neither a point on an object nor a box, or a box is empty.
    """

    points: tuple[Point, ...] = ()
    off: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for kind, count in (("points", 2), ("off", 2), ("boxes", 4)):
            given = tuple(_numbers(kind, one, count) for one in getattr(self, kind))
            object.__setattr__(self, kind, given)
        if not self.points and not self.boxes:
            raise UnsegError(
                "there is no point on an object and no box: give a --point on what is to be "
                "protected, or a --box around it"
            )
        for box in self.boxes:
            if box[2] <= box[0] or box[3] <= box[1]:
                raise UnsegError(
                    f"the box {text_of(box)} is empty: expected left,top,right,bottom, with right "
                    "and bottom the larger"
                )

    def check_inside(self, width: int, height: int, name: str) -> None:
        """Refuse what lies outside an image of this size.

        Raises:
            UnsegError: naming the image, its size and the first that lies outside.
        """
        for x, y in (*self.points, *self.off):
            if not (0 <= x < width and 0 <= y < height):
                raise self._outside(f"point {x:g},{y:g}", width, height, name)
        for box in self.boxes:
            if min(box) < 0 or box[2] > width or box[3] > height:
                raise self._outside(f"box {text_of(box)}", width, height, name)

    def _outside(self, what: str, width: int, height: int, name: str) -> UnsegError:
        return UnsegError(
            f"the {what} is outside {name}, which is {width}x{height} as a viewer shows it: x runs "
            f"from 0 at the left to {width}, y from 0 at the top to {height}"
        )

    def scaled(self, x: float, y: float) -> Clicks:
        """The same places in an image whose sides are these times as long."""

        def moved(point: Point) -> Point:
            return point[0] * x, point[1] * y

        return Clicks(
            tuple(map(moved, self.points)),
            tuple(map(moved, self.off)),
            tuple((*moved(box[:2]), *moved(box[2:])) for box in self.boxes),
        )


@dataclass(frozen=True)
class ClickedObjects:
    """What was found.

    Args:
        numbers: (H, W) int32: 0, or the number of the object that a pixel is of, from 1 on.
        missed: whether there was nothing at all at a point on an object.
        still_on: points that are on no object and yet in the mask.
    """

    numbers: NDArray[np.int32]
    missed: tuple[Point, ...] = ()
    still_on: tuple[Point, ...] = ()


def find_clicked(photo: Photo, clicks: Clicks, base: SamBase, name: str) -> ClickedObjects:
    """Ask the base SAM for the objects that an owner points at.

    Args:
        photo: pixels as a viewer shows them.
        clicks: the prompts.
        base: that is asked.
        name: of the image, for messages.

    Raises:
        UnsegError: when a prompt is outside the image.
    """
    clicks.check_inside(*photo.size, name)
    image = model_image(photo)
    height, width = image.shape[1:]
    small = clicks.scaled(width / photo.size[0], height / photo.size[1])
    numbers = _numbered(AskedImage(base, image), small, height, width)
    full = at_photo_size(numbers, photo).astype(np.int32)
    return ClickedObjects(
        full,
        tuple(one for one, at in zip(clicks.points, small.points, strict=True)
              if not numbers[_cell(at)]),
        tuple(one for one, at in zip(clicks.off, small.off, strict=True) if numbers[_cell(at)]),
    )  # fmt: skip


def _numbered(asked: AskedImage, clicks: Clicks, height: int, width: int) -> NDArray[np.int32]:
    """(height, width) int32; where objects meet, a pixel is the one's that is surer of it."""
    numbers = np.zeros((height, width), np.int32)
    best = np.zeros((height, width), np.float32)

    def add(logits: NDArray[np.float32]) -> None:
        won = logits > best
        numbers[won], best[won] = int(numbers.max()) + 1, logits[won]

    within = [_smallest_box(point, clicks.boxes) for point in clicks.points]
    for number, box in enumerate(clicks.boxes):
        mine = [at for at, one in zip(clicks.points, within, strict=True) if one == number]
        off = [at for at in clicks.off if _contains(box, at)]
        logits = asked.logits(mine, off, box).numpy()
        if not (logits > 0).any():  # a box in which nothing is found is its own mask
            logits = np.where(np.isfinite(logits), np.float32(1e-3), logits)
        add(logits)
    free = [at for at, one in zip(clicks.points, within, strict=True) if one is None]
    if free:
        together = asked.logits(free, clicks.off).numpy()
        add(together)
        left = [at for at in free if together[_cell(at)] <= 0]
        for at in left if len(free) > 1 else ():
            add(asked.logits([at], clicks.off).numpy())
    return numbers


def _smallest_box(point: Point, boxes: Sequence[Box]) -> int | None:
    """Number of the smallest box that holds a point."""
    around = [i for i, box in enumerate(boxes) if _contains(box, point)]
    return min(around, key=lambda i: _area(boxes[i]), default=None)


def _contains(box: Box, point: Point) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _cell(point: Point) -> tuple[int, int]:
    """Row and column of a point."""
    return int(point[1]), int(point[0])


def text_of(values: Iterable[float]) -> str:
    """Coordinates as they are typed.

    Example:
        >>> text_of((120, 40.5))
        '120,40.5'
    """
    return ",".join(f"{value:g}" for value in values)


def _numbers(kind: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    """So many finite numbers.

    Raises:
        UnsegError: when they are not.
    """
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        expected = "x, y" if count == 2 else "left, top, right, bottom"
        raise UnsegError(f"{kind} holds {values!r}: expected {expected} in pixels")
    return found
