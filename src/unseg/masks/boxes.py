"""The reader of boxes: COCO annotations or YOLO text files to boxes by image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image.

    Args:
        corners: (n, 4) float, left, top, right, bottom: in pixels, or in shares of the image.
        labels: (n,) int32, the class of each from 1 on.
        relative: whether the corners are shares of width and height.
        name: where they come from, for messages.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    relative: bool
    name: str

    def in_pixels(self, width: int, height: int) -> NDArray[np.float32]:
        """(n, 4) corners in pixels of an image of this size, cut at its border.

        Raises:
            UnsegError: when a box covers none of the image.
        """
        size = np.array([width, height] * 2, np.float32)
        corners = np.clip(self.corners * size if self.relative else self.corners, 0, size)
        empty = (corners[:, 2:] - corners[:, :2] < 1).any(axis=1)
        if empty.any():
            raise UnsegError(
                f"{self.name}: box {int(empty.argmax()) + 1} covers no pixel of the "
                f"{width}x{height} image: correct it or leave it out"
            )
        return corners.astype(np.float32)


def read_boxes(place: Path) -> dict[str, Boxes]:
    """Read all boxes of a set.

    Args:
        place: a COCO file (``images`` and ``annotations`` with ``bbox``), whose classes are
            numbered from 1 in the order of their ids; or a folder with a YOLO file an image
            (``class x y width height`` a line, middle and size in shares of the image), whose
            classes 0, 1, ... become 1, 2, ...

    Returns:
        Boxes by the image's name without suffix, folders included.

    Raises:
        UnsegError: when the place is neither, or what it holds is no box.
    """
    if place.is_dir():
        found = dict(_yolo(place))
    elif place.suffix.lower() == ".json" and place.is_file():
        found = _coco(place)
    else:
        raise UnsegError(
            f"--boxes {place}: expected a COCO file ending in .json, or a folder of YOLO .txt files"
        )
    if not found:
        raise UnsegError(f"--boxes {place} holds no box: expected at least one")
    return found


def _key(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")).with_suffix(""))


def _boxes(corners: list[list[float]], labels: list[int], relative: bool, name: str) -> Boxes:
    if not all(math.isfinite(value) for box in corners for value in box):
        raise UnsegError(f"{name} holds a box that is not finite: correct it")
    return Boxes(np.array(corners, np.float32), np.array(labels, np.int32), relative, name)


def _coco(path: Path) -> dict[str, Boxes]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        names = {one["id"]: str(one["file_name"]) for one in body["images"]}
        known = sorted({int(one["category_id"]) for one in body["annotations"]})
        corners: dict[str, list[list[float]]] = {}
        labels: dict[str, list[int]] = {}
        for one in body["annotations"]:
            left, top, width, height = (float(value) for value in one["bbox"])
            name = names[one["image_id"]]
            corners.setdefault(name, []).append([left, top, left + width, top + height])
            labels.setdefault(name, []).append(known.index(int(one["category_id"])) + 1)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsegError(
            f"{path} is no COCO file of boxes ({type(error).__name__}: {error}): expected images "
            "with id and file_name, and annotations with image_id, category_id and bbox"
        ) from error
    return {
        _key(name): _boxes(corners[name], labels[name], False, f"{path}, {name}")
        for name in corners
    }


def _yolo(folder: Path) -> Iterator[tuple[str, Boxes]]:
    for path in sorted(folder.rglob("*.txt")):
        if path.name in {"classes.txt", "labels.txt"}:
            continue
        corners, labels = [], []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                label, x, y, width, height = line.split()
                middle, half = (float(x), float(y)), (float(width) / 2, float(height) / 2)
                labels.append(int(label) + 1)
            except ValueError as error:
                raise UnsegError(
                    f"{path}, line {number} is {line!r}: expected class, x, y, width and height"
                ) from error
            corners.append(
                [middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1]]
            )
        if corners:
            yield (
                _key(path.relative_to(folder).as_posix()),
                _boxes(corners, labels, True, str(path)),
            )
