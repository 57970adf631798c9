"""Clean images that lie within other files: replaced where that can be done, else told.

labelme's files may hold their image, in base64. Whatever the layout, one that stands beside a data
set would publish the photograph that the protection is to keep.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from unseg.datasets.mentions import Names
from unseg.files import read_bytes
from unseg.images.formats import IMAGE_SUFFIXES

#: Files that are packed: archives, databases and records, which may hold images once more.
PACKED = (
    ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".h5", ".hdf5", ".lmdb", ".mdb",
    ".tfrecord", ".tfrecords", ".record", ".parquet", ".arrow", ".npz", ".pkl", ".pickle", ".pt",
)  # fmt: skip
_IMAGES = tuple(IMAGE_SUFFIXES)
_KEY = b'"imageData"'


def replaced_images(
    root: Path,
    files: Collection[str],
    changed: Mapping[str, bytes],
    protected: Mapping[str, str],
    out: Path,
) -> dict[str, bytes]:
    """The JSON files that hold a protected image, with what was written in its place.

    Args:
        root: of the data set.
        files: names of all its files.
        changed: new bytes of files that have to change for other reasons.
        protected: old and new names of the images that were written.
        out: the finished images are below this folder.

    Returns:
        New bytes by the file's name.
    """
    found = {}
    names: Names | None = None
    for file in files:
        if not file.lower().endswith(".json"):
            continue
        before = body_with_image(root / file)
        if before is None:
            continue
        if names is None:
            listed = {one for one in files if one.lower().endswith(_IMAGES)}
            names = Names(listed | protected.keys())
        folder = str(PurePosixPath(file).parent)
        meant = names.find(str(before.get("imagePath")), "" if folder == "." else folder)
        meant = [one for one in meant if one in protected]
        if len(meant) == 1:
            body = json.loads(changed[file].decode("utf-8-sig")) if file in changed else before
            data = read_bytes(out / protected[meant[0]], protected[meant[0]])
            body["imageData"] = base64.b64encode(data).decode()
            found[file] = (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()
    return found


def body_with_image(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file that holds an image; None of others."""
    try:
        data = path.read_bytes()
        if _KEY not in data:
            return None
        body = json.loads(data.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    held = isinstance(body, dict) and isinstance(body.get("imageData"), str)
    return body if held and body["imageData"] else None


def packed_files(files: Collection[str]) -> Iterator[str]:
    """Names of files that may hold images once more: archives, records, and arrays beside images.

    An array of an image's name beside it is what loaders of YOLO read in its place.
    """
    stems = {one.rpartition(".")[0] for one in files if one.lower().endswith(_IMAGES)}
    for file in files:
        lower = file.lower()
        packed = lower.endswith(PACKED) and not lower.endswith(_IMAGES)
        if packed or (lower.endswith(".npy") and file.rpartition(".")[0] in stems):
            yield file
