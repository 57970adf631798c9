"""labelme's JSON: one file an image, with named shapes."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.masks.annotations.base import (
    Annotated,
    Annotations,
    Rle,
    Shape,
    label_by_name,
    numbers_of,
    size_of,
)
from unseg.masks.pairing import path_in
from unseg.remarks import Remark


def is_labelme(body: Any) -> bool:
    """Whether JSON is a file of labelme's."""
    return isinstance(body, dict) and isinstance(body.get("shapes"), list)


def read_labelme(parts: Iterable[tuple[Path, str, Any]]) -> Annotations:
    """Read labelme's files; classes are numbered from 1 in the order of their names.

    Args:
        parts: path, name below its folder and JSON of every file.

    Raises:
        UnsegError: naming the file and shape that is none.
    """
    found: dict[str, tuple[Annotated, list[str]]] = {}
    files = []
    for path, name, body in parts:
        files.append(path)
        given = path_in(str(body.get("imagePath") or "")).rpartition("/")[2]
        folder = name.rpartition("/")[0]
        image = f"{folder}/{given}" if folder and given else given or name
        found[image] = _annotated(path, body)
    images, names = label_by_name(found)
    return Annotations(images, tuple(files), classes=names)


def _annotated(path: Path, body: dict[str, Any]) -> tuple[Annotated, list[str]]:
    size = size_of(body.get("imageWidth"), body.get("imageHeight"))
    shapes: list[Shape] = []
    labels: list[str] = []
    left_out: list[str] = []
    groups: dict[tuple[str, Any], int] = {}
    for number, one in enumerate(body["shapes"], 1):
        name = f"{path}, shape {number}"
        if not isinstance(one, dict) or not isinstance(one.get("points"), list):
            raise UnsegError(f"{name} has no points: correct it")
        shape = _shape(one, f"shape {number}", name, size)
        if shape is None:
            left_out.append(str(one.get("shape_type")))
            continue
        label, group = str(one.get("label")), one.get("group_id")
        first = None if group is None else groups.setdefault((label, str(group)), len(shapes))
        if first is not None and first < len(shapes) and _joins(shapes[first], shape):
            # Parts of one object, such as what is seen of it on both sides of a pole.
            shapes[first] = replace(
                shapes[first], polygons=(*shapes[first].polygons, *shape.polygons)
            )
            continue
        shapes.append(shape)
        labels.append(label)
    text = f"shapes that are not areas were left out: {', '.join(sorted(set(left_out)))}"
    remarks = (Remark(text, warning=True),) if left_out else ()
    return Annotated(str(path), tuple(shapes), size, remarks), labels


def _joins(one: Shape, other: Shape) -> bool:
    """Whether two shapes are polygons alone."""
    return all(shape.polygons and shape.rle is None for shape in (one, other))


def _shape(
    one: dict[str, Any], short: str, name: str, size: tuple[float, float] | None
) -> Shape | None:
    """A shape that covers an area; None of points and lines."""
    given = [numbers_of(point, name) for point in one["points"]]
    if any(len(point) != 2 for point in given):
        raise UnsegError(f"{name} has a point that is not x and y: correct it")
    points = np.clip(np.array(given, np.float64), -1e9, 1e9).astype(np.float32).reshape(-1, 2)
    kind = one.get("shape_type") or "polygon"
    if kind == "polygon" and len(points) >= 3:
        return Shape(short, polygons=(points,))
    if len(points) < 2:
        return None
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    if kind == "rectangle":
        return Shape(short, box=(left, top, right, bottom))
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        ring = points[0] + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return Shape(short, polygons=(ring.astype(np.float32),))
    if kind == "mask" and size is not None:
        return Shape(short, rle=_rle(_mask(one, name), round(left), round(top), size))
    return None


def _mask(one: dict[str, Any], name: str) -> NDArray[np.bool_]:
    try:
        data = base64.b64decode(str(one.get("mask")), validate=True)
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("L")) > 0
    except (binascii.Error, OSError, ValueError, SyntaxError) as error:
        raise UnsegError(f"{name} has a mask that is not a PNG: correct it") from error


def _rle(mask: NDArray[np.bool_], left: int, top: int, size: tuple[float, float]) -> Rle:
    """A mask at its place in the image."""
    width, height = round(size[0]), round(size[1])
    full = np.zeros((height, width), bool)
    part = full[max(top, 0) : top + mask.shape[0], max(left, 0) : left + mask.shape[1]]
    part[:] = mask[: part.shape[0], : part.shape[1]]
    flat = full.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0)).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    return Rle(counts, height, width)
