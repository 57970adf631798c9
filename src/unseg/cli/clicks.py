"""``--box``, ``--point`` and ``--not``: what is typed of objects in one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.masks.clicks import Clicks

BOX_HELP = (
    "For a single image: a box around an object, in pixels of the image as a viewer shows it; the "
    "base SAM finds the outline. May be repeated, one for each object."
)
POINT_HELP = "For a single image: a point on the object. May be repeated."
NOT_HELP = "For a single image: a point that is not on the object. May be repeated."


def clicks_of(
    boxes: Sequence[str] | None, points: Sequence[str] | None, off: Sequence[str] | None
) -> Clicks | None:
    """What the options say; None where none was given.

    Raises:
        UnsegError: when one cannot be read, or there are only points beside the object.
    """
    if not boxes and not points and not off:
        return None
    from unseg.masks.clicks import Clicks

    if not boxes and not points:
        raise UnsegError(
            f"--not {(off or [''])[0]} says what is not the object: give a --point on the object, "
            "or a --box around it"
        )
    return Clicks(
        points=tuple(_numbers("--point", one, 2) for one in points or ()),  # type: ignore[misc]
        off=tuple(_numbers("--not", one, 2) for one in off or ()),  # type: ignore[misc]
        boxes=tuple(_numbers("--box", one, 4) for one in boxes or ()),  # type: ignore[misc]
    )


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    """So many numbers, parted by commas."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        example = "x,y such as 200,220" if count == 2 else "left,top,right,bottom"
        expected = example if count == 2 else f"{example} such as 120,40,310,400"
        raise UnsegError(f"{option} {text}: expected {expected}, in pixels")
    return found
