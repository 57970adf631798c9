"""The mask source of a data set: what its own annotations say, painted when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from unseg.datasets.layout import Annotation, Layout
from unseg.images.photo import Photo
from unseg.images.reader import read_photo
from unseg.masks.boxes import Boxes
from unseg.masks.labels import LabelMap
from unseg.masks.named import count_names, labels_of_objects
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources.base import Found, MaskSource
from unseg.masks.sources.boxes import draw_boxes
from unseg.models.sam.base import SamBase
from unseg.provenance import sha256_file


class AnnotationMasks(MaskSource):
    """Exact masks from a data set's annotations; outlines of boxes where there is no mask.

    Args:
        layout: of the data set.
        classes: numbers of the classes that are protected; of a mapping, with their names.
        target: ``instance`` labels a pixel with its object, the others with its class.
        base: gives the SAM that draws what has a box only; called when there is such an object.
        dense: whether the classes fill the image and share one texture but for the silent ones.
    """

    name = "annotations"
    summary = "the masks of the data set's own annotations"
    nothing = "no annotation for this image"
    given = True

    def __init__(
        self,
        layout: Layout,
        classes: Collection[int],
        target: Target,
        base: Callable[[], SamBase],
        *,
        dense: bool = False,
    ) -> None:
        self.layout, self.classes = layout, tuple(sorted(classes))
        self.names = dict(classes) if isinstance(classes, Mapping) else {}
        self.target, self.base, self.dense = target, base, dense
        self.exact = layout.exact or dense
        self._sums: dict[Path, str] = {}
        self._identities: dict[str, str] = {}

    def find(self, photo: Photo, name: str) -> Found | None:
        annotation = self.layout.annotation(name, photo.size)
        if annotation is None:
            return None
        self._identities[name] = self._digest(annotation)
        labels, objects = self._chosen(annotation)
        boxes = self._boxes(annotation)
        if boxes is not None:
            drawn = draw_boxes(photo, boxes, self.base())
            fresh = (drawn > 0) & (labels == 0)
            labels[fresh] = boxes.labels[drawn[fresh] - 1]
            if objects is not None:
                objects[fresh] = drawn[fresh] + objects.max(initial=0)
        # Objects that are not told apart are the connected pieces, as of narrow maps.
        apart = self.target == "instance" and objects is not None
        values = objects if apart and objects is not None else labels
        wide = self.target != "instance" or apart
        found = LabelMap(values, wide=wide, remarks=annotation.remarks)
        counted = None
        if objects is not None:
            counted = count_names(labels_of_objects(labels, objects), self.names)
        return Found(found, annotation.file, self._sum(annotation.file), counted)

    def rules(self, rules: LabelRules) -> LabelRules:
        # Where every class is foreground, some must carry no noise: those chosen, else the first.
        silent = rules.silent or (self.classes[:1] if self.dense else None)
        return LabelRules(
            target=rules.target, void=None, silent=silent if rules.target == "class" else None
        )

    def identity(self, name: str) -> str:
        if name not in self._identities:
            annotation = self.layout.annotation(name, _size_by_header(self.layout.root / name))
            return "" if annotation is None else self._digest(annotation)
        return self._identities[name]

    def _digest(self, annotation: Annotation) -> str:
        labels, objects = self._chosen(annotation)
        digest = hashlib.sha256(repr((self.target, labels.shape)).encode())
        digest.update(labels.tobytes())
        if self.target == "instance" and objects is not None:
            digest.update(objects.tobytes())
        if (boxes := self._boxes(annotation)) is not None:
            digest.update(boxes.corners.tobytes() + boxes.labels.tobytes())
        return digest.hexdigest()

    def _chosen(self, annotation: Annotation) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Labels and objects of the chosen classes alone."""
        kept = np.isin(annotation.labels, self.classes)
        labels = np.where(kept, annotation.labels, 0).astype(np.int32)
        if annotation.objects is None:
            return labels, None
        return labels, np.where(kept, annotation.objects, 0).astype(np.int32)

    def _boxes(self, annotation: Annotation) -> Boxes | None:
        boxes = annotation.boxes
        if boxes is None:
            return None
        kept = np.isin(boxes.labels, self.classes)
        if not kept.any():
            return None
        return Boxes(boxes.corners[kept], boxes.labels[kept], boxes.relative, boxes.name)

    def _sum(self, file: str | None) -> str | None:
        if file is None:
            return None
        path = self.layout.root / file
        if path not in self._sums:
            self._sums[path] = sha256_file(path)
        return self._sums[path]


def _size_by_header(path: Path) -> tuple[int, int]:
    """(width, height) of an image as a viewer shows it, without reading its pixels."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            return image.size[::-1] if turned else image.size
    except UnidentifiedImageError:  # such as DICOM, or many bands
        return read_photo(path).size
