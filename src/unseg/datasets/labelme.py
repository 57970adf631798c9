"""labelme's layout: a JSON file for each image, with its shapes and often the image itself.

The image within a file (``imageData``) is the clean one, so it is replaced with the protected one:
else the file would publish what the protection is to keep.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.datasets.layout import (
    ALL,
    Annotation,
    Layout,
    Survey,
    is_background,
    paint_objects,
)
from unseg.datasets.mentions import Names
from unseg.datasets.outlines import check_ratio, mask_of_polygons, resized
from unseg.datasets.pairs import SPLITS
from unseg.errors import UnsegError
from unseg.files import walk
from unseg.masks.annotations.base import size_of
from unseg.remarks import Remark

#: A JSON file's name, its shapes, and the (width, height) that they are of, if it says one.
_Entry = tuple[str, list[dict[str, Any]], tuple[int, int] | None]


class Labelme(Layout):
    """Polygons, rectangles, circles and masks; a group of shapes is one object."""

    name = "labelme"
    summary = "images and JSON files with imagePath and shapes (labelme)"

    @classmethod
    def detect(cls, root: Path) -> int:
        found = (path for depth in ("", "*/", "*/*/") for path in root.glob(f"{depth}*.json"))
        for path in list(found)[:20]:
            try:
                data = path.read_bytes()
                if b'"imagePath"' not in data or b'"shapes"' not in data:
                    continue  # other files may be very large
                body = json.loads(data.decode("utf-8-sig"))
            except (OSError, ValueError, RecursionError):
                continue
            if isinstance(body, dict) and {"imagePath", "shapes"} <= body.keys():
                return 3
        return 0

    @cached_property
    def files(self) -> dict[str, _Entry]:
        """By name of an image, its JSON file, the shapes and the size they are of.

        Raises:
            UnsegError: when a file of a set of labelme files cannot be read.
        """
        return {image: one for image, one in self._entries if image is not None}

    @cached_property
    def _entries(self) -> list[tuple[str | None, _Entry]]:
        """Every file with its shapes, and the image that it is of, if that is there."""
        names = Names(self.images_below())
        found: list[tuple[str | None, _Entry]] = []
        for path, name in walk([self.root], ()):
            if path.suffix.lower() != ".json":
                continue
            body = _body(path, name)
            if {"imagePath", "shapes"} <= body.keys():
                folder = str(PurePosixPath(name).parent)
                images = names.find(str(body["imagePath"]), "" if folder == "." else folder)
                image = images[0] if len(images) == 1 else None
                if not isinstance(body["shapes"], list):
                    raise UnsegError(f"{name}: shapes is not a list: mend it or leave it out")
                size = size_of(body.get("imageWidth"), body.get("imageHeight"))
                stated = None if size is None else (round(size[0]), round(size[1]))
                found.append((image, (name, body["shapes"], stated)))
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Numbers of classes by name, in the order of their names."""
        labels = {
            str(shape.get("label"))
            for _, shapes, _ in self.files.values()
            for shape in shapes
            if isinstance(shape, dict)
        }
        return {label: i for i, label in enumerate(sorted(labels), 1)}

    def survey(self) -> Survey:
        images = {}
        for image in self.images_below():
            parts = [part for part in PurePosixPath(image).parts[:-1] if part.lower() in SPLITS]
            images[image] = (parts[0],) if parts else (ALL,)
        remarks = []
        if lost := [name for image, (name, *_) in self._entries if image is None]:
            text = f"{len(lost)} files name an image that is not there (first: {lost[0]})"
            remarks.append(Remark(text, warning=True))
        if inside := [name for name in lost if _embeds(self.read(name))]:
            text = (
                f"{len(inside)} of these files hold the clean image itself and are copied as they "
                f"are (first: {inside[0]}): save their images beside them, so that they are "
                "protected, or set imageData to null"
            )
            remarks.append(Remark(text, warning=True))
        embedded = sum(_embeds(self.read(name)) for image, (name, *_) in self._entries if image)
        if embedded:
            text = f"{embedded} files hold their image, which is replaced with the protected one"
            remarks.append(Remark(text))
        classes = {number: name for name, number in self.numbers.items()}
        return Survey(self.name, images, classes, remarks=tuple(remarks))

    def classes_in(self, image: str) -> frozenset[int] | None:
        if image not in self.files:
            return None
        return frozenset(
            self.numbers[str(shape.get("label"))]
            for shape in self.files[image][1]
            if isinstance(shape, dict) and not is_background(str(shape.get("label")))
        )

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        if image not in self.files:
            return None
        file, shapes, stated = self.files[image]
        width, height = size if stated is None else stated
        check_ratio((width, height), size, f"{image} in {file}")
        remarks = []
        groups: dict[Any, tuple[int, NDArray[np.bool_]]] = {}
        for place, shape in enumerate(shapes):
            try:
                label = str(shape["label"])
                mask = mask_of_shape(shape, (height, width))
            except (
                ValueError,
                KeyError,
                TypeError,
                IndexError,
                AttributeError,
                OverflowError,
                OSError,
            ) as error:
                raise UnsegError(
                    f"{file}: shape {place + 1} cannot be read ({type(error).__name__}: {error}): "
                    "mend it or leave it out"
                ) from error
            if mask is None:
                text = f"{file}: shape {place + 1} is a {shape.get('shape_type')}, not an area"
                remarks.append(Remark(text, warning=True))
                continue
            group = shape.get("group_id")
            key = (place,) if group is None else (label, group)
            number = self.numbers[label]
            groups[key] = (number, groups[key][1] | mask) if key in groups else (number, mask)
        labels, objects = paint_objects((height, width), list(groups.values()))
        if (width, height) != size:
            labels, objects = (
                resized(one, size, f"{image} in {file}") for one in (labels, objects)
            )
            text = f"{file} says {width}x{height} but the image is {size[0]}x{size[1]}: scaled"
            remarks.append(Remark(text, warning=True))
        return Annotation(labels, objects, file=file, remarks=tuple(remarks))


def mask_of_shape(shape: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(H, W) bool of a shape; None where it is a point or line, which covers no area.

    Raises:
        ValueError: when it is of no known kind.
    """
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    if kind in ("point", "points", "line", "linestrip"):
        return None
    if kind == "polygon":
        return mask_of_polygons([points.ravel().tolist()], size)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if kind == "rectangle":
        corners = [left, top, right, top, right, bottom, left, bottom]
        return mask_of_polygons([corners], size)
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        drawn = np.zeros(size, np.uint8)
        middle = tuple(int(value) for value in np.round((points[0] - 0.5) * 16))
        cv2.circle(drawn, middle, round(radius * 16), 1, -1, shift=4)
        return drawn.astype(bool)
    if kind == "mask":
        return _placed(shape["mask"], int(left), int(top), size)
    raise ValueError(f"its kind {kind} is unknown")


def _placed(text: str, left: int, top: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask of labelme: a PNG in base64 whose corner lies at a place of the image."""
    try:
        data = base64.b64decode(text)
    except binascii.Error as error:
        raise ValueError(f"its mask is not base64: {error}") from error
    with Image.open(io.BytesIO(data)) as image:
        small = np.asarray(image.convert("L")) > 0
    mask = np.zeros(size, bool)
    part = mask[max(top, 0) : top + small.shape[0], max(left, 0) : left + small.shape[1]]
    part |= small[: part.shape[0], : part.shape[1]]
    return mask


def _embeds(path: Path) -> bool:
    return re.search(rb'"imageData"\s*:\s*"', path.read_bytes()) is not None


def _body(path: Path, name: str) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UnsegError(f"{name} cannot be read as JSON ({error}): save it as UTF-8") from error
    return body if isinstance(body, dict) else {}
