"""COCO files: images, annotations with bbox and segmentation, categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.reader import MAX_PIXELS
from unseg.masks.annotations.base import (
    Annotated,
    Annotations,
    Corners,
    Rle,
    Shape,
    number_classes,
    numbers_of,
    polygon_of,
    size_of,
)
from unseg.masks.pairing import path_in
from unseg.remarks import Remark

#: Least overlap of an outline's box and the box beside it, as intersection over union.
AGREEING = 0.5
_SHAPE = "images with id and file_name, and annotations with image_id, category_id and bbox"


def read_coco(
    path: Path, body: Any, outline: Callable[[Any], Any] = lambda value: value
) -> Annotations:
    """Read a COCO file.

    Classes are numbered from 1 in the order of their ids. Annotations of images that the file does
    not have are left out and counted. An image without annotations is not among the result.

    Args:
        path: of the file, for messages.
        body: its JSON.
        outline: gives the value of ``segmentation`` for what the body holds.

    Raises:
        UnsegError: naming the image or annotation that is none.
    """
    if isinstance(body, list) and body and isinstance(body[0], dict) and "image_id" in body[0]:
        raise UnsegError(
            f"{path} is a list of detections (COCO results), which has no images: give the file "
            f"of instances, with {_SHAPE}"
        )
    if not isinstance(body, dict) or not all(
        isinstance(body.get(part), list) for part in ("images", "annotations")
    ):
        raise UnsegError(f"{path} is not a COCO file of boxes: expected {_SHAPE}")
    images: dict[Any, dict[str, Any]] = {}
    for number, image in enumerate(body["images"], 1):
        if not isinstance(image, dict) or "id" not in image or not path_in(_name(image)):
            raise UnsegError(f"{path}: image {number} has no id or no file_name: correct it")
        images[_id(image["id"])] = image
    categories, names = _categories(path, body)
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    remarks: dict[Any, list[Remark]] = defaultdict(list)
    orphans = 0
    for number, one in enumerate(body["annotations"], 1):
        if not isinstance(one, dict) or "image_id" not in one:
            raise UnsegError(f"{path}: annotation {number} has no image_id: correct it")
        image_id = _id(one["image_id"])
        if image_id not in images:
            orphans += 1
            continue
        shape, remark = _shape(path, one, number, categories, outline)
        shapes[image_id].append(shape)
        remarks[image_id] += [] if remark is None else [remark]
    found = {
        path_in(_name(image)): Annotated(
            f"{path}, {_name(image)}",
            tuple(shapes[image_id]),
            size_of(image.get("width"), image.get("height")),
            tuple(remarks[image_id]),
        )
        for image_id, image in images.items()
        if image_id in shapes
    }
    text = f"{orphans} annotations of {path.name} belong to no image of the file and were left out"
    return Annotations(found, (path,), (Remark(text, warning=True),) if orphans else (), names)


def _name(image: dict[str, Any]) -> str:
    return str(image.get("file_name") or "")


def _id(value: Any) -> Any:
    """An id as files mean it: 1, 1.0 and "1" are one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int | str) else str(value)


def _categories(path: Path, body: dict[str, Any]) -> tuple[dict[Any, int], dict[int, str]]:
    """Labels by the ids of categories, and their names by label."""
    listed = body.get("categories")
    parts = listed if isinstance(listed, list) else []
    known = [one for one in parts if isinstance(one, dict) and "id" in one]
    used = [one.get("category_id") for one in body["annotations"] if isinstance(one, dict)]
    ids = {_id(one["id"]) for one in known} | {_id(one) for one in used if one is not None}
    if len({type(one) for one in ids}) > 1:
        raise UnsegError(f"{path} has categories whose ids are numbers and text: use numbers")
    labels = number_classes(ids)
    names = {labels[_id(one["id"])]: str(one.get("name", one["id"])) for one in known}
    return labels, names


def _shape(
    path: Path,
    one: dict[str, Any],
    number: int,
    categories: dict[Any, int],
    outline: Callable[[Any], Any],
) -> tuple[Shape, Remark | None]:
    """One annotation; box and outline that disagree leave the box, and a remark."""
    short = f"annotation {one.get('id', number)}"
    name = f"{path}, {short}"
    box = _box(one.get("bbox"), name)
    try:
        segmentation = outline(one.get("segmentation"))
    except ValueError as error:
        raise UnsegError(f"{name} has an outline that is not JSON ({error}): correct it") from error
    polygons, rle = _outline(segmentation, name)
    label = 0 if one.get("category_id") is None else categories[_id(one["category_id"])]
    remark = None
    if polygons and box is not None:
        around = bounds(polygons)
        if box[2] <= box[0] or box[3] <= box[1]:
            remark = Remark(f"the box of {short} is empty, so its outline was taken", warning=True)
            box = around
        elif overlap(box, around) < AGREEING:
            text = f"the outline of {short} does not fit its box, so the box was taken"
            remark, polygons = Remark(text, warning=True), ()
    return Shape(short, label, box, polygons, rle, bool(one.get("iscrowd"))), remark


def _box(values: Any, name: str) -> Corners | None:
    if values is None or values == []:
        return None
    found = numbers_of(values, f"{name}, bbox")
    if len(found) != 4:
        raise UnsegError(f"{name} has a bbox of {len(found)} numbers: expected x, y, width, height")
    left, top, width, height = found
    return left, top, left + width, top + height


def _outline(values: Any, name: str) -> tuple[tuple[NDArray[np.float32], ...], Rle | None]:
    if isinstance(values, dict):
        return (), _rle(values, name)
    if not isinstance(values, list) or not values:
        return (), None
    parts = values if isinstance(values[0], list) else [values]
    found = (polygon_of(part, f"{name}, segmentation") for part in parts)
    return tuple(one for one in found if one is not None), None


def _rle(values: dict[str, Any], name: str) -> Rle:
    size = numbers_of(values.get("size") or [], f"{name}, size")
    counts = values.get("counts")
    if len(size) != 2 or not isinstance(counts, list | str):
        raise UnsegError(f"{name} has a segmentation without size or counts: correct it")
    height, width = int(size[0]), int(size[1])
    if isinstance(counts, str):
        runs = decode_counts(counts)
    else:
        runs = [int(one) for one in numbers_of(counts, f"{name}, counts")]
    if height * width > MAX_PIXELS:
        raise UnsegError(f"{name} has a mask of {width}x{height}: expected the image's size")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise UnsegError(
            f"{name} has runs of {sum(runs)} pixels in a mask of {width}x{height}: correct it"
        )
    return Rle(runs, height, width)


def decode_counts(text: str) -> list[int]:
    """The runs of COCO's compressed text: five bits a character from 48 on, differences after 2.

    Example:
        >>> decode_counts("52203")
        [5, 2, 2, 2, 5]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("utf-8"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def bounds(polygons: tuple[NDArray[np.float32], ...]) -> Corners:
    """Left, top, right and bottom of all parts of an outline."""
    every = np.concatenate(polygons)
    (left, top), (right, bottom) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    return left, top, right, bottom


def overlap(one: Corners, other: Corners) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)
