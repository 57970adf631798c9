"""COCO's layout: photographs in one folder, objects in ``instances_*.json`` or ``panoptic_*.json``.

Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014; Kirillov et al., *Panoptic
Segmentation*, CVPR 2019. ``images/`` or one folder a part (``train2017/``) both occur.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import Reading, expect_file
from unseg.datasets.cocofile import (
    CocoFile,
    Kind,
    annotation_errors,
    categories_in,
    find_coco_files,
    kinds_below,
    rewritten,
)
from unseg.datasets.layout import Annotation, Layout, Survey, boxes_of, paint_objects
from unseg.datasets.mentions import rewrite_mentions
from unseg.datasets.outlines import check_ratio, mask_of_segmentation, resized
from unseg.datasets.samples import VOID, LazySamples, Sample, box_around
from unseg.errors import UnsegError
from unseg.extras import require
from unseg.masks.labels import read_label_map
from unseg.remarks import Remark

LAYOUT = (
    "COCO's layout: images/ (or PART/) with the photographs and annotations/instances_PART.json or "
    "annotations/panoptic_PART.json with annotations/panoptic_PART/*.png"
)


def image_folder(root: Path, part: str) -> Path:
    """The photographs' folder: PART (``train2017``), images/PART or images below ``root``."""
    for folder in (root / part, root / "images" / part):
        if folder.is_dir():
            return folder
    return root / "images"


def read_instances(annotation: Path, images: Path, *, layout: str = LAYOUT) -> Reading:
    """Find the objects of an instance file.

    A pixel belongs to one object here: where annotations overlap, to the smaller one. Crowd
    regions are protected but are neither trained on nor scored.

    Args:
        annotation: ``instances_*.json``.
        images: folder of the photographs.
        layout: what to tell a user who lacks a file.

    Returns:
        Samples with ``instances``, ``categories`` and ``boxes``.

    Raises:
        UnsegError: when a file is missing or is not what the layout says.
    """
    require("eval", "reading COCO's instances", packages=("faster-coco-eval",))
    from faster_coco_eval.core import COCO

    with explained(annotation, "instance", layout):
        coco = COCO(load_json(annotation, layout))
        classes, number = categories_of(coco.dataset, annotation)
        records = listed(coco.dataset, annotation)
        paths = [expect_file(images / record["file_name"], layout) for record in records]

    def read(i: int) -> Sample:
        with explained(annotation, "instance", layout):
            record = records[i]
            found = [(one, coco.annToMask(one) > 0) for one in coco.imgToAnns[record["id"]]]
            whole = np.zeros((record["height"], record["width"]), dtype=bool)
            for _, mask in found:
                whole |= mask
            objects = [(one, mask) for one, mask in found if not one.get("iscrowd")]
            return Sample.read(
                paths[i].stem,
                paths[i],
                whole,
                instances=paint([mask for _, mask in objects], whole.shape),
                categories=np.array([number[one["category_id"]] for one, _ in objects], np.int64),
                boxes=np.array([box_around(mask) for _, mask in objects], np.float32).reshape(
                    -1, 4
                ),
            )

    samples = LazySamples([path.stem for path in paths], read)
    return Reading(samples, classes, (annotation, *paths), frozenset(range(len(classes))))


def read_panoptic(
    annotation: Path, images: Path, maps: Path | None = None, *, layout: str = LAYOUT
) -> Reading:
    """Find the segments of a panoptic file; pixels of id 0 and crowds are void.

    Args:
        annotation: ``panoptic_*.json``.
        images: folder of the photographs.
        maps: folder of PNGs whose colours are ids R + 256 G + 65536 B; by default the folder
            beside ``annotation`` with its stem.
        layout: what to tell a user who lacks a file.

    Returns:
        Samples with ``labels`` of all classes, and ``instances`` and ``categories`` of the things.

    Raises:
        UnsegError: when a file is missing or is not what the layout says.
    """
    folder = annotation.with_suffix("") if maps is None else maps
    with explained(annotation, "panoptic", layout):
        body = load_json(annotation, layout)
        classes, number = categories_of(body, annotation)
        things = frozenset(number[one["id"]] for one in body["categories"] if one["isthing"])
        records = {record["id"]: record for record in listed(body, annotation)}
        entries = body["annotations"]
        paths = [
            expect_file(images / records[entry["image_id"]]["file_name"], layout)
            for entry in entries
        ]
        pngs = [expect_file(folder / entry["file_name"], layout) for entry in entries]

    def read(i: int) -> Sample:
        with explained(annotation, "panoptic", layout):
            ids = read_label_map(pngs[i]).values
            labels = np.full(ids.shape, VOID, dtype=np.uint8)
            instances = np.zeros(ids.shape, dtype=np.int32)
            categories: list[int] = []
            for segment in entries[i]["segments_info"]:
                if segment.get("iscrowd"):
                    continue
                where, category = ids == segment["id"], number[segment["category_id"]]
                labels[where] = category
                if category in things:
                    categories.append(category)
                    instances[where] = len(categories)
            return Sample.read(
                paths[i].stem,
                paths[i],
                labels != VOID,
                labels=labels,
                instances=instances,
                categories=np.array(categories, dtype=np.int64),
            )

    samples = LazySamples([path.stem for path in paths], read)
    return Reading(samples, classes, (annotation, *paths, *pngs), things)


def load_json(path: Path, layout: str) -> Any:
    """Contents of a JSON file that must be there."""
    return json.loads(expect_file(path, layout).read_text(encoding="utf-8"))


@contextmanager
def explained(annotation: Path, kind: str, layout: str) -> Iterator[None]:
    """Turn what a wrong annotation file leads to into an error that names it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
        raise UnsegError(
            f"{annotation} is not a COCO {kind} file ({type(error).__name__}: {error}): "
            f"expected images, annotations and categories in {layout}"
        ) from error


def categories_of(body: Any, annotation: Path) -> tuple[tuple[str, ...], dict[int, int]]:
    """Names in the order of the file's category ids, and id to index."""
    found = sorted(body["categories"], key=lambda one: one["id"])
    if not 0 < len(found) <= VOID:
        raise UnsegError(f"{annotation} has {len(found)} categories: expected 1 to {VOID}")
    return tuple(one["name"] for one in found), {one["id"]: i for i, one in enumerate(found)}


def listed(body: Any, annotation: Path) -> list[dict[str, Any]]:
    """The file's image records."""
    if not body["images"]:
        raise UnsegError(f"{annotation} lists no images: expected at least one")
    return list(body["images"])


def paint(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Masks to one (H, W) int32 map, i + 1 for mask i; smaller ones lie on top."""
    instances = np.zeros(shape, dtype=np.int32)
    areas = [int(mask.sum()) for mask in masks]
    for i in sorted(range(len(masks)), key=lambda i: -areas[i]):
        instances[masks[i]] = i + 1
    return instances


class Coco(Layout):
    """Objects in ``instances_*.json``: polygons, run lengths, crowds, or boxes alone."""

    name = "coco"
    summary = "images and JSON files with images, annotations and categories (COCO instances)"
    kind: ClassVar[Kind] = "instance"

    @classmethod
    def detect(cls, root: Path) -> int:
        kinds = kinds_below(root)
        if cls.kind not in kinds:
            return 0
        return 3 if cls.kind == "instance" or "instance" not in kinds else 2

    @cached_property
    def every_file(self) -> list[CocoFile]:
        """All annotation files, of whatever kind."""
        return find_coco_files(self.root, self.kind)

    @cached_property
    def files(self) -> list[CocoFile]:
        """The annotation files of this kind."""
        found = [file for file in self.every_file if file.kind == self.kind]
        if not found:
            raise UnsegError(f"{self.root} has no COCO {self.kind} file: expected {LAYOUT}")
        # Beside them may lie the same images' keypoints or stuff, which are not meant.
        apart = ("person_keypoints", "keypoints", "stuff")
        usual = [file for file in found if not PurePosixPath(file.name).name.startswith(apart)]
        return usual or found

    @cached_property
    def categories(self) -> dict[str, int]:
        """Numbers of classes by name, in the order of the files' ids."""
        names: dict[str, int] = {}
        for file in self.files:
            with annotation_errors(file, "categories"):
                for name in categories_in(file.body).values():
                    names.setdefault(name, len(names) + 1)
        return names

    @cached_property
    def _numbers(self) -> dict[str, dict[Any, int]]:
        """By file and category id, the number of the class."""
        return {
            file.name: {i: self.categories[name] for i, name in categories_in(file.body).items()}
            for file in self.files
        }

    @cached_property
    def _records(self) -> dict[str, list[tuple[CocoFile, dict[str, Any], list[dict[str, Any]]]]]:
        """By name of an image: each file that lists it, its record, and its annotations."""
        found: dict[str, list[tuple[CocoFile, dict[str, Any], list[dict[str, Any]]]]] = {}
        for file in self.files:
            by_id: dict[Any, list[dict[str, Any]]] = {}
            with annotation_errors(file, "an annotation"):
                for one in file.body["annotations"]:
                    by_id.setdefault(one["image_id"], []).append(one)
            for record in file.body["images"]:
                if (place := file.images.get(record["id"])) is not None:
                    own = by_id.get(record["id"], [])
                    found.setdefault(place, []).append((file, record, own))
        return found

    def survey(self) -> Survey:
        images: dict[str, tuple[str, ...]] = dict.fromkeys(self.images_below(), ())
        remarks = []
        for file in self.files:
            for place in file.images.values():
                images[place] = tuple(dict.fromkeys((*images.get(place, ()), file.split)))
            if file.missing:
                text = f"{file.name} lists {len(file.missing)} images that are not there"
                remarks.append(Remark(f"{text} (first: {file.missing[0]})", warning=True))
        for file in self.every_file:  # such as lists of test images without annotations
            for place in file.images.values():
                images[place] = images.get(place) or (file.split,)
        remarks += self.strays()
        classes = {number: name for name, number in self.categories.items()}
        return Survey(self.name, self.without_maps(images), classes, self.dense, tuple(remarks))

    @property
    def dense(self) -> bool:
        """Whether every pixel has a class."""
        return False

    def without_maps(self, images: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The images without those that are the panoptic files' maps."""
        folders = {
            str(PurePosixPath(file.name).with_suffix("")) + "/"
            for file in self.every_file
            if file.kind == "panoptic"
        }
        return {
            name: of for name, of in images.items() if of or not name.startswith(tuple(folders))
        }

    def strays(self) -> list[Remark]:
        """What to say of annotations that belong to no image of their file."""
        remarks = []
        for file in self.files:
            known = {one["id"] for one in file.body["images"]}
            with annotation_errors(file, "an annotation"):
                lost = [one for one in file.body["annotations"] if one["image_id"] not in known]
            if lost:
                text = f"{file.name} has {len(lost)} annotations of images that it does not list"
                remarks.append(Remark(f"{text} (first: {_id(lost[0])})", warning=True))
        return remarks

    def classes_in(self, image: str) -> frozenset[int] | None:
        if image not in self._records:
            return None
        found: set[int] = set()
        for file, _, own in self._records[image]:
            one: Any = None
            try:
                for one in own:
                    found.add(self._numbers[file.name][one["category_id"]])
            except (KeyError, TypeError):
                with annotation_errors(file, f"annotation {_id(one)}"):
                    raise
        return frozenset(found)

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        if image not in self._records:
            return None
        remarks, masks, boxes = [], [], []
        width, height = size
        for file, record, own in self._records[image]:
            with annotation_errors(file, f"the record of {image}"):
                width = int(record.get("width") or width)
                height = int(record.get("height") or height)
            # Before outlines are drawn: what a file says may be far from what the image is.
            check_ratio((width, height), size, f"{image} in {file.name}")
            for one in own:
                with annotation_errors(file, f"annotation {_id(one)}"):
                    number = self._numbers[file.name][one["category_id"]]
                    mask = mask_of_segmentation(file.outline(one), (height, width))
                    if mask is not None:
                        masks.append((number, mask))
                    elif one.get("bbox") and min(one["bbox"][2:4]) >= 1:
                        left, top, w, h = (float(value) for value in one["bbox"][:4])
                        box = np.clip([left, top, left + w, top + h], 0, [width, height] * 2)
                        boxes.append((number, box.tolist()))
                    else:
                        text = f"annotation {_id(one)} has neither outline nor box and is left out"
                        remarks.append(Remark(text, warning=True))
        crowds = sum(bool(one.get("iscrowd")) for _, _, own in self._records[image] for one in own)
        if crowds:
            remarks.append(
                Remark(f"{crowds} of the annotations are crowds, which are protected, too")
            )
        name = self._records[image][0][0].name
        labels, objects = paint_objects((height, width), masks)
        if (width, height) != size:
            labels, objects = (
                resized(one, size, f"{image} in {name}") for one in (labels, objects)
            )
            scale = size[0] / width
            boxes = [(number, [value * scale for value in box]) for number, box in boxes]
            text = f"{name} says {width}x{height} but the image is {size[0]}x{size[1]}: scaled"
            remarks.append(Remark(text, warning=True))
        found = boxes_of(boxes, relative=False, name=name)
        return Annotation(labels, objects, found, name, tuple(remarks))

    def rewrite(
        self, renamed: Mapping[str, str], protected: Collection[str], out: Path
    ) -> dict[str, bytes]:
        changed = {}
        for file in self.every_file:  # captions and keypoints mention the images, too
            new = rewritten(file, self.root / file.name, renamed)
            if new is not None:
                changed[file.name] = new
        own = [file.name for file in self.every_file]
        return {**changed, **rewrite_mentions(self.root, renamed, own)}


def _id(annotation: Any) -> Any:
    return annotation.get("id", "without id") if isinstance(annotation, dict) else annotation
