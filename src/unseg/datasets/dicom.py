"""DICOM series in folders, and masks of the same names in a folder ``masks`` beside them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.layout import Survey
from unseg.datasets.maps import MapLayout, named, numbered, plain_numbers
from unseg.datasets.pairs import PHOTOGRAPHS, TRUTHS, split_of
from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import walk
from unseg.images.formats import FORMATS, HEAD, Format, format_named, format_within
from unseg.masks.labels import LabelMap
from unseg.masks.pairing import MaskIndex
from unseg.remarks import Remark

_DICOM = FORMATS["DICOM"]
#: Files without a known suffix whose first bytes are read to find out what a folder is.
_LOOKED = 100
#: Kinds that have pixels, or none, but show no picture: they refer to slices.
_REFERRING = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"})


class Dicom(MapLayout):
    """A tree of DICOM files, a series a folder; without masks, ``--find`` decides."""

    name = "dicom"
    summary = "DICOM files, a series a folder, and masks/ (PNG) with equal names, or none"
    keeps_kind = True
    exact = False

    @classmethod
    def detect(cls, root: Path) -> int:
        dicom = other = looked = 0
        for path, name in walk([root], ()):
            if _is_among_masks(name):
                continue
            kind = format_named(name)
            if kind is None and looked < _LOOKED and _is_uncertain(path):
                kind, looked = _within(path), looked + 1
            dicom += kind is _DICOM
            other += kind is not None and kind is not _DICOM
        return 2 if dicom > other else 0  # surer than pairs

    @cached_property
    def _files(self) -> tuple[list[str], list[str]]:
        """Names of the slices, and of the DICOM files that are none."""
        require("dicom", "the layout dicom", packages=("pydicom",))
        slices: list[str] = []
        others: list[str] = []
        for path, name in walk([self.root], ()):
            kind = format_named(name)
            if kind is _DICOM or (kind is None and _is_uncertain(path) and _within(path) is _DICOM):
                (others if _is_among_masks(name) or not _is_slice(path) else slices).append(name)
        return slices, others

    @cached_property
    def _masks(self) -> dict[str, MaskIndex]:
        """By the folder of masks, its masks."""
        folders = sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_dir() and path.name.lower() in TRUTHS
        )
        found = {}
        for folder in folders:
            slices = self._seen_from(folder)
            index = MaskIndex(self.root / folder, images=slices)
            if len(index) and slices:
                found[folder] = index
        return found

    def _seen_from(self, masks: str) -> list[str]:
        """Names of slices as masks in a folder would have them."""
        return [inner for name in self._files[0] if (inner := _inner(name, masks))]

    @cached_property
    def classes(self) -> tuple[dict[int, str], bool]:
        """Classes by number, and whether every pixel has one."""
        return numbered(named(self.root, "labels.txt", "classes.txt", "class_names.txt"))

    def survey(self) -> Survey:
        slices, others = self._files
        if not slices:
            raise UnsegError(f"{self.root} has no DICOM image: expected {self.summary}")
        remarks = list(self._unused())
        if others:
            text = (
                f"{len(others)} DICOM files are no slices and are copied (first: {others[0]}): "
                "they may name slices by SOP instance UID, which is new in protected ones; make a "
                "DICOMDIR anew"
            )
            remarks.append(Remark(text, warning=True))
        images = {name: (split_of("", PurePosixPath(name)),) for name in slices}
        classes, dense = self.classes
        return Survey(self.name, images, classes, dense, tuple(remarks))

    def _unused(self) -> Iterator[Remark]:
        for folder, index in self._masks.items():
            slices = self._seen_from(folder)
            shared = next((name for name, count in index.shared.items() if count > 1), None)
            if shared is not None:
                raise UnsegError(
                    f"{folder}/{shared} fits {index.shared[shared]} slices: give masks the names "
                    f"of slices with their folders, such as {folder}/{_stem(slices[0])}.png"
                )
            if unused := index.unused(slices):
                text = f"{len(unused)} masks in {folder} fit no slice, the first is {unused[0]}"
                yield Remark(text, warning=True)

    def series(self, image: str) -> str | None:
        return str(PurePosixPath(image).parent)

    def map_of(self, image: str) -> str | None:
        for folder, index in sorted(self._masks.items(), key=lambda one: -one[0].count("/")):
            inner = _inner(image, folder)
            found = index.find(inner) if inner else None
            if found is not None:
                return f"{folder}/{found}"
        return None

    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        return plain_numbers(labels, dense=self.classes[1])


def _is_among_masks(name: str) -> bool:
    """Whether a folder on the way is one of masks: label maps may be DICOM files, too."""
    return any(part.lower() in TRUTHS for part in PurePosixPath(name).parts[:-1])


def _inner(slice_name: str, masks: str) -> str | None:
    """A slice's name as seen from a folder of masks beside its own; None if it is elsewhere.

    A folder for the images alone is left out, and names without suffix get one, as what
    stands behind the last point of a UID is none.
    """
    home = PurePosixPath(masks).parent
    path = PurePosixPath(slice_name)
    if not path.is_relative_to(home):
        return None
    parts = path.relative_to(home).parts
    if len(parts) > 1 and parts[0].lower() in PHOTOGRAPHS:
        parts = parts[1:]
    return f"{_stem('/'.join(parts))}{_DICOM.suffixes[0]}"


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _DICOM.suffixes else name


def _is_uncertain(path: Path) -> bool:
    """Whether a name does not say what a file is: no suffix, or the last number of a UID."""
    return not path.suffix or path.suffix[1:].isdecimal()


def _within(path: Path) -> Format | None:
    try:
        with path.open("rb") as stream:
            return format_within(stream.read(HEAD))
    except OSError as error:
        raise UnsegError(f"{path} cannot be read ({error}): check its permissions") from error


def _is_slice(path: Path) -> bool:
    """Whether a DICOM file shows a picture. What is damaged counts, so that it is an error."""
    import pydicom

    wanted = ["Modality", "Rows", "DirectoryRecordSequence"]
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
    except Exception:  # pydicom raises whatever damage leads to
        return True
    return "Rows" in found and str(found.get("Modality", "")) not in _REFERRING
