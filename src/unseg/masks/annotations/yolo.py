"""YOLO files: one of lines an image, boxes or outlines in shares of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unseg.errors import UnsegError
from unseg.masks.annotations.base import Annotated, Annotations, Shape, numbers_of, read_text
from unseg.masks.annotations.names import LISTS, names_beside
from unseg.remarks import Remark

_LINE = (
    "class, x, y, width and height in shares of the image, with or without a confidence at the "
    "end, or class and the corners of an outline"
)


def read_yolo(given: Path) -> Annotations:
    """Read a folder of YOLO files, or one file.

    Classes 0, 1, ... become 1, 2, ...; an empty file says that its image has no object. Files that
    begin with no number (such as a README) are left out and named. A list of names beside them
    (``classes.txt``, ``labels.txt`` or ``obj.names``), or ``data.yaml`` there or up to two folders
    above, names the classes.

    Raises:
        UnsegError: naming the file and line that is none.
    """
    listed = sorted(given.rglob("*.txt")) if given.is_dir() else [given]
    root = given if given.is_dir() else given.parent
    images: dict[str, Annotated] = {}
    files, ignored = [], []
    for path in listed:
        lower = path.name.lower()
        if not path.is_file() or lower in LISTS or lower.startswith("readme"):
            continue
        lines = [(i, line) for i, line in enumerate(read_text(path).splitlines(), 1)]
        lines = [(i, line) for i, line in lines if line.strip()]
        name = path.relative_to(root).as_posix()
        if lines and not is_number(lines[0][1].split()[0].split(",")[0]):
            ignored.append(name)
            continue
        shapes = tuple(_shape(path, number, line) for number, line in lines)
        files.append(path)
        images[name] = Annotated(str(path), shapes, (1.0, 1.0))
    text = f"{len(ignored)} text files have no YOLO labels and were left out"
    remarks = (Remark(f"{text} (first: {ignored[0]})", warning=True),) if ignored else ()
    names = {i + 1: name for i, name in names_beside(root).items()}
    return Annotations(images, tuple(files), remarks, names)


def _shape(path: Path, number: int, line: str) -> Shape:
    words = line.split("#")[0].split()
    name = f"{path}, line {number}"
    if not all(map(is_number, words)) or not (
        len(words) in {5, 6} or (len(words) >= 7 and len(words) % 2)
    ):
        raise UnsegError(f"{name} is {line!r:.60}: expected {_LINE}")
    label, *values = numbers_of(words, name)
    if label < 0 or not label.is_integer():
        raise UnsegError(f"{name} has the class {words[0]}: expected 0, 1, ...")
    shares = values[:4] if len(words) == 6 else values
    if max(shares) > 2:
        raise UnsegError(f"{name} is {line!r:.60}, which is in pixels: expected {_LINE}")
    own = int(label) + 1
    if len(words) >= 7:
        return Shape(f"line {number}", own, polygons=(np.array(shares, np.float32).reshape(-1, 2),))
    x, y, width, height = shares
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Shape(f"line {number}", own, box)


def is_number(word: str) -> bool:
    """Whether a word of a line is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
