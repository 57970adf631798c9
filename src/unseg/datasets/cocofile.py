"""COCO's JSON files in a data set: which there are, which split each is, where its images lie."""

from __future__ import annotations

import io
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unseg.datasets.layout import ALL
from unseg.datasets.mentions import Names
from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.annotations.outlined import OutlinedJson

Kind = Literal["instance", "panoptic", "other"]

#: Keys of annotations that are objects, other than captions.
OUTLINED = frozenset({"category_id", "segmentation", "bbox"})
#: JSON files of one depth that are looked into for what a folder holds.
CANDIDATES = 200
#: Files above this many bytes are not parsed to find out what a folder is.
LARGE = 1 << 22
_FILE_NAME = re.compile(rb'("file_name"\s*:\s*)("(?:[^"\\]|\\.)*")')
_SPLIT = re.compile(r"(train|val|valid|validation|test|dev|minival)[a-z]*[-_]?\d*", re.IGNORECASE)


@dataclass(frozen=True)
class CocoFile:
    """One annotation file.

    Args:
        name: relative to the data set.
        split: what its name, or its folder's, says it is.
        kind: what its annotations are.
        body: its content; of files of another kind than was asked for the images alone.
        text: gives the outlines of the body.
        images: by the id of an image, its name relative to the data set.
        missing: file names of images that are listed and not there.
    """

    name: str
    split: str
    kind: Kind
    body: dict[str, Any]
    text: OutlinedJson | None
    images: Mapping[Any, str]
    missing: tuple[str, ...]

    def outline(self, annotation: Mapping[str, Any]) -> Any:
        """The ``segmentation`` of an annotation, or None."""
        value = annotation.get("segmentation")
        return value if self.text is None else self.text.outline(value)


def find_coco_files(root: Path, kind: Kind) -> list[CocoFile]:
    """All annotation files with images below a folder.

    Args:
        root: of the data set.
        kind: of which the annotations are kept.

    Raises:
        UnsegError: when one cannot be read, or lists an image without a name.
    """
    listed = [name for _, name in walk([root], ())]
    names = Names(name for name in listed if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)
    found = []
    for name in listed:
        if name.lower().endswith(".json") and (text := coco_text(root / name)) is not None:
            found.append(_coco_file(name, text, names, kind))
    return found


def coco_text(path: Path) -> OutlinedJson | None:
    """Content of a JSON file if it lists images as COCO's do, else None.

    Raises:
        UnsegError: when it says that it is one and cannot be read.
    """
    wanted = re.match(r"(instances|panoptic)_|.*(coco|annotation)", path.name, re.IGNORECASE)
    try:
        text = OutlinedJson(path)
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        if wanted is None:
            return None
        reason = "save it as UTF-8" if isinstance(error, UnicodeDecodeError) else "mend it"
        raise UnsegError(f"{path} cannot be read as JSON ({error}): {reason}") from error
    images = text.body.get("images") if isinstance(text.body, dict) else None
    good = isinstance(images, list) and all(
        isinstance(one, dict) and "id" in one and isinstance(one.get("file_name"), str)
        for one in images
    )
    return text if good and images else None


def _coco_file(name: str, text: OutlinedJson, names: Names, wanted: Kind) -> CocoFile:
    split, body = split_of(name), text.body
    images: dict[Any, str] = {}
    missing: list[str] = []
    ids: set[Any] = set()
    for one in body["images"]:
        if not isinstance(one["id"], int | float | str):
            raise UnsegError(f"{name}: the id {one['id']} of {one['file_name']} is not a number")
        if one["id"] in ids:
            raise UnsegError(f"{name}: two images have the id {one['id']}: number them anew")
        ids.add(one["id"])
        place = place_of(one["file_name"], name, split, names)
        if place is None:
            missing.append(one["file_name"])
        else:
            images[one["id"]] = place
    kind = kind_of(body)
    if kind != wanted:  # captions and keypoints may be large
        return CocoFile(name, split, kind, {"images": body["images"]}, None, images, tuple(missing))
    return CocoFile(name, split, kind, body, text, images, tuple(missing))


def kind_of(body: Mapping[str, Any]) -> Kind:
    """What the annotations of a file are."""
    annotations = body.get("annotations")
    if not isinstance(annotations, list) or not isinstance(body.get("categories", []), list):
        return "other"
    if any(isinstance(one, dict) and "segments_info" in one for one in annotations[:10]):
        return "panoptic"
    objects = [one for one in annotations if isinstance(one, dict) and one.keys() & OUTLINED]
    return "instance" if objects or (not annotations and body.get("categories")) else "other"


def categories_in(body: Mapping[str, Any]) -> dict[Any, str]:
    """Names of categories by id, in the order of the ids; their ids where the file names none."""
    named = {one["id"]: str(one["name"]) for one in body.get("categories") or []}
    if not named:
        named = {one["category_id"]: str(one["category_id"]) for one in body["annotations"]}
    return dict(sorted(named.items()))


def kinds_below(root: Path) -> set[Kind]:
    """Kinds of the COCO files at the usual places: the root and folders two levels below."""
    found: set[Kind] = set()
    for depth in ("*.json", "*/*.json", "*/*/*.json"):
        for path in sorted(root.glob(depth))[:CANDIDATES]:
            if (kind := _kind_at(path)) is not None:
                found.add(kind)
    return found


def _kind_at(path: Path) -> Kind | None:
    """Kind of a file; large ones are not parsed, as that takes long and is done later."""
    if path.name.startswith(("instances_", "panoptic_")):
        return "instance" if path.name.startswith("instances_") else "panoptic"
    if not path.is_file() or path.stat().st_size <= LARGE:
        text = coco_text(path)
        return None if text is None else kind_of(text.body)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        if any(raw.find(key) < 0 for key in (b'"images"', b'"file_name"', b'"annotations"')):
            return None
        if raw.find(b'"segments_info"') >= 0:
            return "panoptic"
        return "instance" if raw.find(b'"category_id"') >= 0 else "other"


def split_of(name: str) -> str:
    """The split that a file is of: what its name ends with, or its folder's name.

    Example:
        >>> split_of("annotations/instances_train2017.json")
        'train2017'
        >>> split_of("valid/_annotations.coco.json")
        'valid'
    """
    path = PurePosixPath(name)
    for text in (path.stem, path.parent.name):
        if found := list(_SPLIT.finditer(text)):
            return found[-1].group(0)
    return ALL


def place_of(file_name: str, annotation: str, split: str, names: Names) -> str | None:
    """Name of an image relative to the data set, or None if there is no such file.

    It is looked for beside the annotation file, in the split's folder and in ``images``; then by
    the longest end of its path that only one image has.
    """
    folder = str(PurePosixPath(annotation).parent)
    for place in (split, f"images/{split}", f"{split}/images", f"{split}/data", "images", ""):
        found = names.find(file_name, place)
        if len(found) == 1 and _lies(found[0], place, file_name):
            return found[0]
    found = names.find(file_name, "" if folder == "." else folder)
    return found[0] if len(found) == 1 else None


def _lies(name: str, place: str, file_name: str) -> bool:
    return name == (f"{place}/{file_name}" if place else file_name)


@contextmanager
def annotation_errors(file: CocoFile, what: str) -> Iterator[None]:
    """Turn what a wrong annotation leads to into an error that names it."""
    try:
        yield
    except (
        ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError
    ) as error:  # fmt: skip
        raise UnsegError(
            f"{file.name}: {what} cannot be read ({type(error).__name__}: {error}): mend it or "
            "leave it out"
        ) from error


def rewritten(file: CocoFile, path: Path, renamed: Mapping[str, str]) -> bytes | None:
    """The file with the new names of images, or None where it mentions none of them.

    Only the values of ``file_name`` change, where they stand in the file's own text.

    Args:
        file: as it was found.
        path: where it lies.
        renamed: old and new names of images.
    """
    new: dict[str, str] = {}
    for one in file.body["images"]:
        place = file.images.get(one["id"])
        if place is not None and place in renamed:
            old, suffix = PurePosixPath(place).suffix, PurePosixPath(renamed[place]).suffix
            before_suffix, _, rest = one["file_name"].rpartition(old)
            new[one["file_name"]] = before_suffix + suffix + rest
    if not new:
        return None
    seen: set[str] = set()
    text, end = io.BytesIO(), 0  # a file may be large: it is written once
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as before,
    ):
        for match in _FILE_NAME.finditer(before):
            start = match.start()
            value = json.loads(match.group(2))
            if value in new and before[max(start - 1, 0) : start] != b"\\":  # not within a text
                seen.add(value)
                said = json.dumps(new[value], ensure_ascii=match.group(2).isascii())
                text.write(before[end : match.start(2)] + said.encode())
                end = match.end(2)
        text.write(before[end:])
    if len(seen) == len(new):
        return text.getvalue()
    # A key in another spelling, such as with escapes: the file is written anew.
    body = json.loads(path.read_text(encoding="utf-8-sig"))
    for one in body["images"]:
        one["file_name"] = new.get(one["file_name"], one["file_name"])
    return json.dumps(body, ensure_ascii=False).encode("utf-8")
