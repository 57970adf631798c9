"""Masks in files: a folder that mirrors the images', or holds their stems."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from unseg.files import read_bytes
from unseg.images.photo import Photo
from unseg.masks.labels import read_label_map
from unseg.masks.pairing import MaskIndex
from unseg.masks.regions import LabelRules
from unseg.masks.sources.base import Found, MaskSource
from unseg.provenance import sha256_file


class MaskFiles(MaskSource):
    """A folder of masks or label maps (``--masks``).

    Args:
        folder: searched recursively.
        skipped: resolved folders that are left out, such as the run's own output.
    """

    name = "file"
    summary = "a mask or label map in the folder given with --masks"
    nothing = "no mask file for this image"
    given = True

    def __init__(self, folder: Path, skipped: Collection[Path] = ()) -> None:
        self.folder = folder
        self._index = MaskIndex(folder, skipped=skipped)

    def path_of(self, name: str) -> Path | None:
        """The mask of an image, or None."""
        found = self._index.find(name)
        return None if found is None else self.folder / found

    def unused(self, images: Iterable[str]) -> list[str]:
        """Names of the masks that belong to none of the images."""
        return self._index.unused(images)

    def find(self, photo: Photo, name: str) -> Found | None:
        mask = self._index.find(name)
        if mask is None:
            return None
        path = self.folder / mask
        digest = hashlib.sha256(read_bytes(path, mask)).hexdigest()
        return Found(read_label_map(path, mask), mask, digest)

    def rules(self, rules: LabelRules) -> LabelRules:
        return rules

    def identity(self, name: str) -> str:
        path = self.path_of(name)
        return "" if path is None else sha256_file(path)
