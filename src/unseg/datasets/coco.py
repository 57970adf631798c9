"""COCO's layout: photographs in one folder, objects in ``instances_*.json`` or ``panoptic_*.json``.

Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014; Kirillov et al., *Panoptic
Segmentation*, CVPR 2019. ``images/`` or one folder a part (``train2017/``) both occur.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import Reading, expect_file
from unseg.datasets.samples import VOID, LazySamples, Sample, box_around
from unseg.errors import UnsegError
from unseg.extras import require
from unseg.masks.labels import read_label_map

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
