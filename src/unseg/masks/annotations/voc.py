"""Pascal VOC's XML: one file an image, with named boxes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from unseg.errors import UnsegError
from unseg.masks.annotations.base import (
    Annotated,
    Annotations,
    Shape,
    label_by_name,
    numbers_of,
    read_text,
    size_of,
)
from unseg.masks.pairing import path_in

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(parts: Iterable[tuple[Path, str]]) -> Annotations:
    """Read VOC's files; classes are numbered from 1 in the order of their names.

    Args:
        parts: path and name below its folder of every file.

    Raises:
        UnsegError: naming the file that is none.
    """
    found: dict[str, tuple[Annotated, list[str]]] = {}
    files = []
    for path, name in parts:
        files.append(path)
        root = _root(path)
        given = path_in(root.findtext("filename") or "").rpartition("/")[2]
        folder = name.rpartition("/")[0]
        image = f"{folder}/{given}" if folder and given else given or name
        found[image] = _annotated(path, root)
    images, names = label_by_name(found)
    return Annotations(images, tuple(files), classes=names)


def _root(path: Path) -> ElementTree.Element:
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnsegError(f"{path} declares a document type, which is not read: remove it")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise UnsegError(f"{path} is not XML ({error}): correct it") from error
    if root.tag != "annotation":
        raise UnsegError(f"{path} holds <{root.tag}>: expected Pascal VOC's <annotation>")
    return root


def _annotated(path: Path, root: ElementTree.Element) -> tuple[Annotated, list[str]]:
    shapes, labels = [], []
    for number, one in enumerate(root.iter("object"), 1):
        texts = [one.findtext(f"bndbox/{corner}") for corner in _CORNERS]
        name = f"{path}, object {number}"
        if None in texts:
            raise UnsegError(f"{name} has no complete bndbox: expected {', '.join(_CORNERS)}")
        left, top, right, bottom = numbers_of(texts, name)
        shapes.append(Shape(f"object {number}", box=(left, top, right, bottom)))
        labels.append(one.findtext("name") or "")
    stated = [root.findtext(f"size/{side}") for side in ("width", "height")]
    size = size_of(*stated)
    return Annotated(str(path), tuple(shapes), size), labels
