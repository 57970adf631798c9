"""COCO's panoptic layout: ``panoptic_*.json`` and a folder of maps whose colours are segment ids.

The evaluation's reader of the same files is :func:`unseg.datasets.coco.read_panoptic`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from unseg.datasets.coco import Coco
from unseg.datasets.cocofile import CocoFile, annotation_errors
from unseg.datasets.layout import Annotation
from unseg.errors import UnsegError
from unseg.masks.labels import read_label_map
from unseg.remarks import Remark


class CocoPanoptic(Coco):
    """Things and stuff in ``panoptic_*.json`` with a map for every image."""

    name = "coco-panoptic"
    summary = "images, panoptic_PART.json with segments_info, and maps of ids in panoptic_PART/"
    kind = "panoptic"

    @property
    def dense(self) -> bool:
        return any(not one.get("isthing", 1) for f in self.files for one in f.body["categories"])

    @cached_property
    def _segments(self) -> dict[str, tuple[CocoFile, dict[str, Any]]]:
        """By name of an image, its file and its annotation."""
        found = {}
        for file in self.files:
            for one in file.body["annotations"]:
                with annotation_errors(file, "an annotation"):
                    if (place := file.images.get(one["image_id"])) is not None:
                        found[place] = (file, one)
        return found

    def map_of(self, file: CocoFile, entry: dict[str, Any]) -> str:
        """Name of the map of an annotation.

        Raises:
            UnsegError: when there is none.
        """
        path, said = PurePosixPath(file.name), PurePosixPath(entry["file_name"])
        if said.is_absolute() or ".." in said.parts:
            raise UnsegError(
                f"{file.name} names the map {said}, which is outside the data set: correct it"
            )
        places = (path.with_suffix(""), path.parent / "panoptic" / file.split, path.parent)
        for place in places:
            if (self.root / place / entry["file_name"]).is_file():
                return str(place / entry["file_name"])
        raise UnsegError(
            f"{places[0]}/{entry['file_name']} is missing: expected a map of ids for every "
            f"annotation of {file.name}"
        )

    def classes_in(self, image: str) -> frozenset[int] | None:
        if image not in self._segments:
            return None
        file, entry = self._segments[image]
        with annotation_errors(file, f"the segments of {image}"):
            numbers = self._numbers[file.name]
            return frozenset(numbers[one["category_id"]] for one in entry["segments_info"])

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        if image not in self._segments:
            return None
        file, entry = self._segments[image]
        with annotation_errors(file, f"the annotation of {image}"):
            name = self.map_of(file, entry)
        ids = read_label_map(self.root / name, name).values
        labels, objects = (np.zeros(ids.shape, np.int32) for _ in range(2))
        remarks = []
        with annotation_errors(file, f"the segments of {image}"):
            things = {one["id"] for one in file.body["categories"] if one.get("isthing", 1)}
            for count, one in enumerate(entry["segments_info"], 1):
                where = ids == one["id"]
                labels[where] = self._numbers[file.name][one["category_id"]]
                if one["category_id"] in things:
                    objects[where] = count
                if not where.any():
                    text = f"segment {one['id']} is not in the map {name}"
                    remarks.append(Remark(text, warning=True))
        return Annotation(labels, objects, file=name, remarks=tuple(remarks))
