"""Photographs and masks of one foreground, in two folders with the same stems.

HQSeg-44K (Ke et al., *Segment Anything in High Quality*, NeurIPS 2023) with DIS5K, ThinObject5K,
COIFT and HRSOD in its folders; Kvasir-SEG (Jha et al., MMM 2020); the WHU building set (Ji et al.,
IEEE TGRS 2019), whose buildings are the connected pieces of its masks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import MASKS, Reading, expect_files
from unseg.datasets.layout import ALL, Survey, lines_of, text_of
from unseg.datasets.maps import MapLayout, named, numbered, plain_numbers
from unseg.datasets.samples import LazySamples, Sample
from unseg.errors import UnsegError
from unseg.images.formats import FORMATS, IMAGE_SUFFIXES
from unseg.masks.labels import LabelMap, read_binary_mask
from unseg.masks.pairing import BINARY_SUFFIXES, MaskIndex, key_of, pair
from unseg.remarks import Remark

JPEG = FORMATS["JPEG"].suffixes

Objects = Callable[[NDArray[np.bool_]], NDArray[np.int32]]


def whole(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The foreground as one object."""
    return mask.astype(np.int32)


def pieces(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Every connected piece (4 neighbours, as the WHU set is usually converted) as an object."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1], np.int32)


def read_pairs(
    images: Path, masks: Path, layout: str, *, name: str, prefix: str = "", objects: Objects = whole
) -> Reading:
    """Find the pairs of two folders, which may be one.

    Args:
        images: folder of the photographs.
        masks: folder of the masks; a photograph without one is an error.
        layout: what to tell a user who lacks a file.
        name: of the only class.
        prefix: of the samples' names, where several folders share stems.
        objects: from a foreground to a map of objects 1..n.

    Returns:
        Samples with ``instances`` and ``categories``; their mask is the foreground.

    Raises:
        UnsegError: when a file is missing.
    """
    # In one folder the photographs are the JPEG files and nothing else is.
    together = images == masks
    found = expect_files(images, JPEG if together else IMAGE_SUFFIXES, layout)
    suffixes = [suffix for suffix in MASKS if not together or suffix not in JPEG]
    truths = pair(found, masks, layout, suffixes)
    names = [prefix + path.stem for path in found]

    def read(i: int) -> Sample:
        mask = read_binary_mask(truths[i])
        instances = objects(mask)
        categories = np.zeros(int(instances.max(initial=0)), dtype=np.int64)
        return Sample.read(names[i], found[i], mask, instances=instances, categories=categories)

    return Reading(LazySamples(names, read), (name,), (*found, *truths), frozenset({0}))


#: Kinds of masks, the surest first: JPEG, WebP and GIF hold black and white masks alone.
KINDS = (*MASKS, *(one for one in BINARY_SUFFIXES if one not in MASKS))
#: Folder names of photographs and of masks, whatever their case.
PHOTOGRAPHS = (
    "images", "image", "imgs", "img", "im", "img_dir", "jpegimages", "photos", "inputs", "input",
)  # fmt: skip
TRUTHS = (
    "masks", "mask", "labels", "label", "gt", "gts", "annotations", "annotation", "ann_dir",
    "groundtruth", "ground_truth", "segmentations", "segmentation", "seg", "targets", "target",
)  # fmt: skip
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "trainval")


class Pairs(MapLayout):
    """Two folders with the same stems, for the set or each split, whichever folder is outside."""

    name = "pairs"
    summary = "images/ and masks/ with the same stems, also train/images/ or images/train/"
    exact = False

    @classmethod
    def detect(cls, root: Path) -> int:
        return 1 if cls(root).folders else 0

    @cached_property
    def folders(self) -> list[tuple[str, str]]:
        """Folders of photographs and of their masks, relative to the root."""
        found = []
        for outer in ("", *_folders(self.root)):
            inner = {name.lower(): name for name in _folders(self.root / outer)}
            photographs = [inner[name] for name in PHOTOGRAPHS if name in inner]
            masks = [inner[name] for name in TRUTHS if name in inner]
            good = [name for name in masks if _holds(self.root / outer / name, KINDS)]
            if photographs and good and _holds(self.root / outer / photographs[0], IMAGE_SUFFIXES):
                found.append((_under(outer, photographs[0]), _under(outer, good[0])))
        return found

    @cached_property
    def _index(self) -> dict[str, MaskIndex]:
        return {
            images: MaskIndex(
                self.root / masks, KINDS,
                images=[name.removeprefix(f"{images}/") for name in self.images_below(images)],
            )
            for images, masks in self.folders
        }  # fmt: skip

    @cached_property
    def classes(self) -> tuple[dict[int, str], bool]:
        """Classes by number, and whether every pixel has one."""
        return numbered(named(self.root, "labels.txt", "classes.txt", "class_names.txt"))

    def survey(self) -> Survey:
        if not self.folders:
            raise UnsegError(
                f"{self.root} has no two folders of images and masks: expected {self.summary}"
            )
        listed = self._listed()
        images: dict[str, tuple[str, ...]] = {}
        remarks = []
        for folder, masks in self.folders:
            names = self.images_below(folder)
            for name in names:
                below = PurePosixPath(name).relative_to(folder)
                own = listed.get(below.stem) or listed.get(str(below))
                images[name] = own or (() if listed else (split_of(folder, below),))
            index = self._index[folder]
            unused = index.unused(str(PurePosixPath(name).relative_to(folder)) for name in names)
            if text := _shared(index, masks, [one.removeprefix(f"{folder}/") for one in names]):
                remarks.append(Remark(text, warning=True))
            if unused:
                text = f"{len(unused)} masks in {masks} fit no image (first: {unused[0]})"
                remarks.append(Remark(text, warning=True))
        classes, dense = self.classes
        return Survey(self.name, images, classes, dense, tuple(remarks))

    def _listed(self) -> dict[str, tuple[str, ...]]:
        """Splits by stem, of ``split.json`` (stems by split) or lists such as ``train.txt``."""
        listed: dict[str, list[str]] = {}
        for name in ("split.json", "splits.json"):
            if (self.root / name).is_file():
                try:
                    body = json.loads(text_of(self.root / name))
                except (ValueError, RecursionError) as error:
                    raise UnsegError(f"{self.root / name} is not JSON ({error})") from error
                for split, stems in body.items() if isinstance(body, dict) else []:
                    for stem in stems if isinstance(stems, list) else []:
                        listed.setdefault(PurePosixPath(str(stem)).name, []).append(split)
        for split in SPLITS:
            path = self.root / f"{split}.txt"
            for line in lines_of(path) if path.is_file() else []:
                said = PurePosixPath(line.split()[0].split(",")[0])
                stem = said.stem if said.suffix.lower() in IMAGE_SUFFIXES else said.name
                listed.setdefault(stem, []).append(split)
        return {
            PurePosixPath(stem).stem if PurePosixPath(stem).suffix.lower() in IMAGE_SUFFIXES
            else stem: tuple(splits)
            for stem, splits in listed.items()
        }  # fmt: skip

    def map_of(self, image: str) -> str | None:
        for folder, masks in self.folders:
            if image.startswith(f"{folder}/"):
                found = self._index[folder].find(image.removeprefix(f"{folder}/"))
                return None if found is None else f"{masks}/{found}"
        return None

    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        if self._numbers_objects(labels):
            return (labels.values > 0).astype(np.int32)
        return plain_numbers(labels, dense=self.classes[1])

    def objects_of(self, image: str, labels: LabelMap) -> NDArray[np.int32] | None:
        return labels.values.astype(np.int32) if self._numbers_objects(labels) else None

    def _numbers_objects(self, labels: LabelMap) -> bool:
        """Whether a map's labels number the objects of one class: it is wide and none is named."""
        return labels.wide and not self.classes[0]


def _shared(index: MaskIndex, masks: str, images: list[str]) -> str | None:
    """What to say of masks that fit several images; one picture may be there in two kinds."""
    fits: dict[str, set[str]] = {name: set() for name, count in index.shared.items() if count > 1}
    for image in images if fits else ():
        if (found := index.find(image)) in fits:
            fits[found].add(key_of(image))
    shared = sorted(name for name, keys in fits.items() if len(keys) > 1)
    if not shared:
        return None
    return (
        f"{len(shared)} masks in {masks} fit several images each (first: {shared[0]}, for "
        f"{len(fits[shared[0]])}): give every image a mask of its own"
    )


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(one.name for one in root.iterdir() if one.is_dir() and one.name[0] != ".")


def _holds(folder: Path, suffixes: tuple[str, ...]) -> bool:
    return any(path.suffix.lower() in suffixes for path in folder.rglob("*"))


def _under(outer: str, name: str) -> str:
    return f"{outer}/{name}" if outer else name


def split_of(folder: str, below: PurePosixPath) -> str:
    """The split that an image's folders say it is of."""
    for part in (*PurePosixPath(folder).parts[:-1], *below.parts[:-1]):
        if part.lower() in SPLITS:
            return part
    return ALL
