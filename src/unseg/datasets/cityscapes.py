"""Cityscapes' layout: ``leftImg8bit`` and ``gtFine``, a folder a city.

Cordts et al., *The Cityscapes Dataset for Semantic Urban Scene Understanding*, CVPR 2016. Of its
label ids 19 are trained on; the others are void.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import Reading, expect_file
from unseg.datasets.layout import Survey
from unseg.datasets.maps import MapLayout
from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError
from unseg.masks.labels import LabelMap, read_label_map

IDS: dict[int, str] = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole",
    19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle",
    33: "bicycle",
}  # fmt: skip
"""Label id in the files and name, in the order of the train ids."""
THINGS = frozenset(index for index, label in enumerate(IDS) if label >= 24)
LAYOUT = (
    "Cityscapes' layout: leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and "
    "gtFine/{train,val}/CITY/*_gtFine_{labelIds,instanceIds}.png"
)
IMAGE = "_leftImg8bit"
#: Folders of the truth: fine outlines, and the coarse ones of ``train_extra``.
TRUTHS = ("gtFine", "gtCoarse")

Kind = Literal["semantic", "instance", "panoptic"]


def read_cityscapes(root: Path, part: str, kind: Kind = "semantic") -> Reading:
    """Find a part of Cityscapes.

    A group of things that were not told apart has no instances; where instances are asked for its
    pixels are void. Instance problems have the eight things as classes and as foreground, the
    others all 19 classes.

    Args:
        root: holds ``leftImg8bit`` and ``gtFine``.
        part: ``train`` or ``val``.
        kind: what the samples are for: ``labels``, ``instances`` and ``categories``, or all.

    Raises:
        UnsegError: when a file is missing or is not what the layout says.
    """
    folder = root / "leftImg8bit" / part
    images = sorted(folder.glob(f"*/*{IMAGE}.png"))
    if not images:
        raise UnsegError(f"{folder} has no CITY/*{IMAGE}.png: expected {LAYOUT}")
    stems = [path.name.removesuffix(f"{IMAGE}.png") for path in images]
    # Instance ids hold the label ids: id, or 1000 id + number.
    suffix = "labelIds" if kind == "semantic" else "instanceIds"
    truths = [
        expect_file(
            root / "gtFine" / part / path.parent.name / f"{stem}_gtFine_{suffix}.png", LAYOUT
        )
        for path, stem in zip(images, stems, strict=True)
    ]
    classes = np.full(1 << 8, VOID, dtype=np.uint8)
    classes[list(IDS)] = np.arange(len(IDS))
    first = min(THINGS)

    def read(i: int) -> Sample:
        ids = read_label_map(truths[i]).values.astype(np.int64)
        label = np.where(ids >= 1000, ids // 1000, ids)
        if label.max(initial=0) >= len(classes):
            raise UnsegError(f"{truths[i]} holds id {ids.max()}: expected those of {LAYOUT}")
        labels = classes[label]
        if kind == "semantic":
            return Sample.read(stems[i], images[i], labels != VOID, labels=labels)
        single = (ids >= 1000) & np.isin(labels, list(THINGS))
        labels[np.isin(labels, list(THINGS)) & ~single] = VOID
        found, flat = np.unique(np.where(single, ids, 0), return_inverse=True)
        instances = flat.reshape(ids.shape).astype(np.int32) + int(found[0] != 0)
        categories = classes[found[found > 0] // 1000].astype(np.int64)
        if kind == "instance":
            return Sample.read(
                stems[i], images[i], single, instances=instances, categories=categories - first
            )
        return Sample.read(
            stems[i], images[i], labels != VOID,
            labels=labels, instances=instances, categories=categories,
        )  # fmt: skip

    names = tuple(IDS.values())
    samples = LazySamples(stems, read)
    if kind == "instance":
        own = tuple(names[i] for i in sorted(THINGS))
        return Reading(samples, own, (*images, *truths), frozenset(range(len(own))))
    return Reading(samples, names, (*images, *truths), THINGS)


class Cityscapes(MapLayout):
    """Maps of label ids and of instance ids, a folder a city; 19 classes, all else is void."""

    name = "cityscapes"
    summary = "leftImg8bit/SPLIT/CITY/ and gtFine/SPLIT/CITY/ (or gtCoarse) (Cityscapes)"
    fixed_names = True

    @classmethod
    def detect(cls, root: Path) -> int:
        truths = any((root / name).is_dir() for name in TRUTHS)
        return 3 if (root / "leftImg8bit").is_dir() and truths else 0

    def survey(self) -> Survey:
        images = {
            name: (PurePosixPath(name).parts[1],)
            for name in self.images_below("leftImg8bit")
            if len(PurePosixPath(name).parts) > 2
        }
        return Survey(self.name, images, IDS, dense=True)

    def map_of(self, image: str) -> str | None:
        return self._map(image, "labelIds")

    def _map(self, image: str, kind: str) -> str | None:
        path = PurePosixPath(image)
        stem = path.stem.removesuffix(IMAGE)
        for truth in TRUTHS:
            name = PurePosixPath(truth, *path.parts[1:-1], f"{stem}_{truth}_{kind}.png")
            if (self.root / name).is_file():
                return str(name)
        return None

    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        return np.where(np.isin(labels.values, list(IDS)), labels.values, 0).astype(np.int32)

    def objects_of(self, image: str, labels: LabelMap) -> NDArray[np.int32] | None:
        name = self._map(image, "instanceIds")
        if name is None:
            return None
        ids = read_label_map(self.root / name, name).values
        return np.where(ids >= 1000, ids, 0).astype(np.int32)
