"""Masks in files: a folder that mirrors the images', or holds their stems."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from unseg.files import read_bytes
from unseg.images.formats import MASK_SUFFIXES
from unseg.images.photo import Photo
from unseg.masks.colourcodes import colours_in
from unseg.masks.cvat import ColourClasses, read_labelmap
from unseg.masks.labels import read_label_map
from unseg.masks.pairing import BINARY_SUFFIXES, MaskIndex
from unseg.masks.regions import LabelRules
from unseg.masks.sources.base import Found, MaskSource
from unseg.provenance import sha256_file
from unseg.remarks import Remark


class MaskFiles(MaskSource):
    """A folder of masks or label maps (``--masks``).

    Args:
        folder: searched recursively.
        skipped: resolved folders and files that are left out, such as the run's own output and
            the images themselves.
        images: names of all images of the run, if they are known: a mask that fits one of them by
            its name is nobody else's, and one that serves several is told.
        by_class: whether classes are told apart, so that the colours of colour maps are numbered.
    """

    name = "file"
    summary = "a mask or label map in the folder given with --masks"
    nothing = "no mask file for this image"
    given = True

    def __init__(
        self,
        folder: Path,
        skipped: Collection[Path] = (),
        images: Iterable[str] = (),
        *,
        by_class: bool = False,
    ) -> None:
        self.folder, self.images, self.by_class = folder, list(images), by_class
        kinds = (*MASK_SUFFIXES, *BINARY_SUFFIXES)
        self._index = MaskIndex(folder, kinds, skipped, self.images)

    def path_of(self, name: str) -> Path | None:
        """The mask of an image, or None."""
        found = self._index.find(name)
        return None if found is None else self.folder / found

    def unused(self, images: Iterable[str]) -> list[str]:
        """Names of the masks that belong to none of the images."""
        return self._index.unused(images)

    def find(self, photo: Photo, name: str) -> Found | None:
        pairing = self._index.pairing(name)
        if pairing is None:
            return None
        path, mask = self.folder / pairing.name, pairing.name
        digest = hashlib.sha256(read_bytes(path, mask)).hexdigest()
        labels = read_label_map(path, mask)
        if self._listed is not None:
            labels = self._listed.labels(labels, mask)
        remarks = list(labels.remarks)
        if pairing.why is not None:
            remarks.append(Remark(pairing.why))
        count = self._index.shared[mask]
        if count > 1:
            text = (
                f"one mask, {mask}, fits {count} images: keep a separate folder of masks for each"
            )
            remarks.append(Remark(text, warning=True))
        return Found(replace(labels, remarks=tuple(remarks)), mask, digest)

    def missing(self, name: str) -> str:
        return f"{self.nothing}: expected {PurePosixPath(name).with_suffix('.png')}"

    def rules(self, rules: LabelRules) -> LabelRules:
        return replace(rules, colours=self.colours or None)

    @cached_property
    def _listed(self) -> ColourClasses | None:
        """The colours of CVAT's list beside the masks, if there is one."""
        return read_labelmap(self.folder)

    @property
    def classes(self) -> dict[int, str]:
        """Names of the classes by label, of CVAT's list; none without one."""
        return {} if self._listed is None else dict(self._listed.names)

    @cached_property
    def colours(self) -> tuple[int, ...]:
        """The colours of the run's colour maps; none where classes are not told apart."""
        if not self.by_class or self._listed is not None:
            return ()
        paths = {path for name in self.images if (path := self.path_of(name)) is not None}
        return colours_in(sorted(paths))

    def identity(self, name: str) -> str:
        path = self.path_of(name)
        if path is None:
            return ""
        numbered = f":{self.colours}" if self.colours else ""
        if self._listed is not None:
            numbered += f":{sorted(self._listed.numbers.items())}"
        return hashlib.sha256(f"{sha256_file(path)}{numbered}".encode()).hexdigest()
