"""Whether what an owner gives as masks are annotations: a file, or a folder of them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from pathlib import Path

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import MASK_SUFFIXES
from unseg.masks.annotations import is_labelme, read_json
from unseg.masks.annotations.base import read_text
from unseg.masks.annotations.names import LISTS
from unseg.masks.annotations.yolo import is_number
from unseg.masks.pairing import BINARY_SUFFIXES

#: Suffixes of annotation files.
ANNOTATIONS = (".json", ".txt", ".xml")
#: Files beside masks that are looked into, of each suffix.
LOOKED_AT = 20


def are_annotations(path: Path, skipped: Collection[Path] = ()) -> bool:
    """Whether ``--masks`` names annotations instead of a folder of mask images.

    Args:
        path: a file, or a folder that is searched recursively.
        skipped: resolved folders and files that are left out, such as the images themselves.

    Raises:
        UnsegError: when a folder holds mask images and annotations.
    """
    if not path.is_dir():
        return path.suffix.lower() in ANNOTATIONS
    masks, texts = [], []
    for file, name in walk([path], skipped):
        lower = file.name.lower()
        if lower.endswith((*MASK_SUFFIXES, *BINARY_SUFFIXES)):
            if file.resolve() not in skipped:
                masks.append(name)
        elif lower.endswith(ANNOTATIONS) and not lower.startswith("readme"):
            texts.append(file)
    if not masks:
        return bool(texts)
    for suffix in ANNOTATIONS:
        alike = (file for file in texts if file.suffix.lower() == suffix)
        for file in islice(alike, LOOKED_AT):
            if _is_annotation(file):
                raise UnsegError(
                    f"--masks {path} holds mask images ({masks[0]}) and annotations "
                    f"({file.relative_to(path).as_posix()}): keep each in a folder of its own, and "
                    "give one of them"
                )
    return False


def _is_annotation(file: Path) -> bool:
    """Whether a file that lies among masks is one of labelme's, Pascal VOC's or YOLO's.

    COCO's panoptic masks have a JSON file beside them, and maps have metadata in XML: neither is.
    """
    try:
        if file.suffix.lower() == ".json":
            return is_labelme(read_json(file))
        text = read_text(file)
    except UnsegError:
        return False
    if file.suffix.lower() == ".xml":
        return "<annotation" in text[:1000]
    words = text.partition("\n")[0].split()
    return file.name.lower() not in LISTS and len(words) >= 5 and all(map(is_number, words))
