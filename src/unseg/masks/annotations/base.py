"""What every reader of annotations returns: the objects of images, as outlines or boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.remarks import Remark

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Rle:
    """A run-length encoded mask: runs of 0 and 1 in turn, down the columns.

    Args:
        counts: lengths of the runs, the first of zeros.
        height: of the mask.
        width: of the mask.
    """

    counts: Sequence[int]
    height: int
    width: int


@dataclass(frozen=True)
class Shape:
    """One object.

    Args:
        name: what to call it in messages.
        label: its class from 1 on; 0 where the file names none.
        box: left, top, right, bottom, in the units of the image's annotation; None if there is
            none. Where there is an outline, too, the outline counts.
        polygons: (n, 2) float, x and y of each corner; an object may have several parts.
        rle: an exact mask, or None.
        crowd: whether it is a region of many objects.
    """

    name: str
    label: int = 0
    box: Corners | None = None
    polygons: tuple[NDArray[np.float32], ...] = ()
    rle: Rle | None = None
    crowd: bool = False

    @property
    def exact(self) -> bool:
        """Whether there is an outline."""
        return bool(self.polygons) or self.rle is not None


@dataclass(frozen=True)
class Annotated:
    """The objects of one image.

    Args:
        name: where they come from, for messages.
        shapes: the objects; none where the file says that the image has none.
        size: width and height that coordinates refer to; None is the image's own.
        remarks: what an owner should know of them.
        problem: why they cannot be used, or None: an error once the image is asked for.
    """

    name: str
    shapes: tuple[Shape, ...] = ()
    size: tuple[float, float] | None = None
    remarks: tuple[Remark, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Annotations:
    """The annotations of a set of images.

    Args:
        images: by the names of the images, as the files have them.
        files: that were read.
        remarks: what an owner should know of the set.
        classes: names of the classes by their labels, where they are known.
    """

    images: dict[str, Annotated]
    files: tuple[Path, ...] = ()
    remarks: tuple[Remark, ...] = ()
    classes: dict[int, str] = field(default_factory=dict)


def read_text(path: Path) -> str:
    """The text of an annotation file; a byte order mark is left out.

    Raises:
        UnsegError: when it cannot be read or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnsegError(f"{path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UnsegError(f"{path} is not UTF-8: save it as UTF-8") from error
    if "\0" in text:
        raise UnsegError(f"{path} is not UTF-8: save it as UTF-8")
    return text


def numbers_of(values: Any, name: str) -> list[float]:
    """Finite numbers of a list.

    Raises:
        UnsegError: when it is none, naming it.
    """
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsegError(f"{name} holds {values!r:.60}: expected numbers") from error
    if not all(math.isfinite(value) for value in found):
        raise UnsegError(f"{name} has a value that is not finite: correct it")
    return found


def polygon_of(values: Any, name: str) -> NDArray[np.float32] | None:
    """(n, 2) corners of x, y, x, y, ...; None of fewer than three."""
    found = numbers_of(values, name)
    if len(found) < 6 or len(found) % 2:
        return None
    return np.clip(found, -1e9, 1e9).astype(np.float32).reshape(-1, 2)


def size_of(width: Any, height: Any) -> tuple[float, float] | None:
    """Width and height that a file states; None where it states none."""
    try:
        size = float(width), float(height)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if all(math.isfinite(side) and side > 0 for side in size) else None


def number_classes(names: Iterable[Any]) -> dict[Any, int]:
    """Classes to labels from 1 on, in sorted order."""
    return {name: label for label, name in enumerate(sorted(set(names)), 1)}


def label_by_name(
    found: Mapping[str, tuple[Annotated, Sequence[str]]],
) -> tuple[dict[str, Annotated], dict[int, str]]:
    """Give shapes the labels of their classes' names.

    Args:
        found: by image, its shapes and the name of each shape's class.

    Returns:
        The images with labels, and the names by label.
    """
    labels = number_classes(name for _, named in found.values() for name in named)
    images = {}
    for image, (one, named) in found.items():
        pairs = zip(one.shapes, named, strict=True)
        shapes = tuple(replace(shape, label=labels[name]) for shape, name in pairs)
        images[image] = replace(one, shapes=shapes)
    return images, {label: name for name, label in labels.items()}
