"""Annotations: COCO, YOLO, labelme and Pascal VOC to the objects of images, one file a format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.masks.annotations.base import Annotated, Annotations, Rle, Shape, read_text
from unseg.masks.annotations.coco import read_coco
from unseg.masks.annotations.labelme import is_labelme, read_labelme
from unseg.masks.annotations.outlined import read_outlined
from unseg.masks.annotations.voc import read_voc
from unseg.masks.annotations.yolo import read_yolo

EXPECTED = (
    "expected a COCO file ending in .json, a folder of YOLO .txt files, labelme's .json files or "
    "Pascal VOC's .xml files"
)


def read_annotations(path: Path, option: str = "--boxes") -> Annotations:
    """Read all annotations of a set.

    Args:
        path: a COCO file, whose classes are numbered from 1 in the order of their ids; a folder
            of YOLO files, whose classes 0, 1, ... become 1, 2, ...; a file of labelme's or Pascal
            VOC's or a folder of them, whose classes are numbered in the order of their names.
        option: that named the path, for messages.

    Raises:
        UnsegError: when the path is none of these, or what it holds is wrong; names the file.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        found = _of_folder(path)
    elif suffix == ".json" and path.is_file():
        text = read_outlined(path, EXPECTED)  # may be very large
        if is_labelme(text.body):
            found = read_labelme([(path, path.name, text.body)])
        else:
            found = read_coco(path, text.body, text.outline)
    elif suffix == ".xml" and path.is_file():
        found = read_voc([(path, path.name)])
    elif suffix == ".txt" and path.is_file():
        found = read_yolo(path)
    else:
        raise UnsegError(f"{option} {path}: {EXPECTED}")
    if not any(one.shapes for one in found.images.values()):
        raise UnsegError(f"{option} {path} has no box or outline: {EXPECTED}")
    return found


def _of_folder(folder: Path) -> Annotations:
    drawn = list(_labelme_files(folder))
    if drawn:
        return read_labelme(drawn)
    listed = [path for path in sorted(folder.rglob("*.xml")) if path.is_file()]
    if listed:
        return read_voc([(path, path.relative_to(folder).as_posix()) for path in listed])
    return read_yolo(folder)


def _labelme_files(folder: Path) -> Iterator[tuple[Path, str, Any]]:
    for path in sorted(folder.rglob("*.json")):
        if path.is_file():
            body = read_json(path)
            if is_labelme(body):
                yield path, path.relative_to(folder).as_posix(), body


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UnsegError: when it is none, naming it.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnsegError(f"{path} is not JSON ({error}): {EXPECTED}") from error


__all__ = [
    "Annotated",
    "Annotations",
    "Rle",
    "Shape",
    "is_labelme",
    "read_annotations",
    "read_json",
]
