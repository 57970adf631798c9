"""YOLO's layout: ``data.yaml``, images, and a text file of boxes or polygons for each.

A line is ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3 ...``, in shares of the image.
The text file lies where ``images`` in the path is ``labels``, as Ultralytics' loader looks for it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from unseg.datasets.layout import (
    ALL,
    Annotation,
    Layout,
    Survey,
    boxes_of,
    lines_of,
    paint_objects,
    text_of,
)
from unseg.datasets.mentions import Names
from unseg.datasets.outlines import mask_of_polygons
from unseg.errors import UnsegError
from unseg.files import walk
from unseg.masks.annotations.names import LISTS, SPLITS, data_yaml, names_in_yaml, read_yaml
from unseg.remarks import Remark

#: What outlines that run over the image's border may reach; pixels are larger.
SLACK = 1.5
LAYOUT = "YOLO's layout: data.yaml with train, val and names, and images/ with labels/ beside it"

Row = tuple[int, list[float]]


class Yolo(Layout):
    """Boxes, whose outlines the base SAM draws; lines that are polygons are taken as they are."""

    name = "yolo"
    summary = "data.yaml, images/ and labels/*.txt with boxes (YOLO detection)"
    outlines: ClassVar[bool] = False

    @classmethod
    def detect(cls, root: Path) -> int:
        layout = Yolo(root)
        labels = list(layout.labels())
        if not labels or (layout.yaml is None and not (root / "images").is_dir()):
            return 0
        polygons = any(
            len(line.split()) > 6
            for path in labels[:50]
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        )
        return 3 if polygons == cls.outlines else 0

    def labels(self) -> list[Path]:
        """The text files in folders named ``labels``."""
        return [
            path
            for path, name in walk([self.root], ())
            if name.lower().endswith(".txt") and "labels" in name.split("/")[:-1]
        ]

    @cached_property
    def yaml(self) -> Path | None:
        """The YAML file that names splits and classes: ``data.yaml`` or the first like it."""
        return data_yaml(self.root)

    @cached_property
    def classes(self) -> dict[int, str]:
        """Classes by number, the file's class + 1."""
        if self.yaml is not None:
            return {i + 1: name for i, name in names_in_yaml(self.yaml).items()}
        for path in (self.root / "classes.txt", self.root / "labels" / "classes.txt"):
            if path.is_file():
                lines = text_of(path).splitlines()
                return {i: name.strip() for i, name in enumerate(lines, 1) if name.strip()}
        return {}

    def survey(self) -> Survey:
        every = self.images_below()
        images: dict[str, tuple[str, ...]] = dict.fromkeys(every, ())
        remarks = []
        used = {self.label_of(image) for image in every}
        names_of = [path.relative_to(self.root).as_posix() for path in self.labels()]
        unused = [name for name in names_of if name not in used and _labels_one(name)]
        if unused:
            text = f"{len(unused)} files of labels fit no image (first: {unused[0]})"
            remarks.append(Remark(text, warning=True))
        if self.yaml is None:
            for image in every:
                parts = PurePosixPath(image).parts[:-1]
                named = [part for part in parts if part.lower() in SPLITS]
                images[image] = (named[0],) if named else (ALL,)
        else:
            names = Names(every)
            body = read_yaml(self.yaml)
            for split in SPLITS:
                listed = body.get(split) or []
                for place in [listed] if isinstance(listed, str) else listed:
                    found = self._images(str(place), body, names)
                    if not found:
                        text = f"{self.yaml.name}: {split}: {place} has no image here"
                        remarks.append(Remark(text, warning=True))
                    for image in found:
                        images[image] = tuple(dict.fromkeys((*images[image], split)))
        return Survey(self.name, images, self.classes, remarks=tuple(remarks))

    def _images(self, place: str, body: dict[str, Any], names: Names) -> list[str]:
        """Images of a folder or list that the YAML file names.

        The folder may be given below ``path``, below the file's own, or with ``../`` before it,
        as Roboflow writes it.
        """
        said = PurePosixPath(place.replace("\\", "/"))
        base = PurePosixPath(str(body.get("path") or "").replace("\\", "/"))
        plain = [part for part in said.parts if part not in ("..", ".", "/")]
        tails = ["/".join(plain[start:]) for start in range(len(plain))] or [""]
        inside = [] if base.is_absolute() or ".." in base.parts else [str(base / said)]
        for name in (*inside, *tails):
            path = self.root / name
            if path.is_dir():
                folder = "" if name in ("", ".") else str(PurePosixPath(name))
                return self.images_below(folder)
            if path.is_file() and path.suffix == ".txt":
                found = [names.find(line, "") for line in lines_of(path)]
                return [one[0] for one in found if len(one) == 1]
        return []

    def label_of(self, image: str) -> str | None:
        """Name of the text file of an image, or None."""
        path = PurePosixPath(image)
        parts = list(path.parts)
        for i in reversed(range(len(parts) - 1)):
            if parts[i].lower() == "images":
                parts[i] = "labels"
                break
        name = str(PurePosixPath(*parts).with_suffix(".txt"))
        return name if (self.root / name).is_file() else None

    def rows(self, name: str) -> list[Row]:
        """Class and numbers of every line of a text file.

        Raises:
            UnsegError: naming the line that is neither a box nor a polygon.
        """
        rows = []
        for number, line in enumerate(text_of(self.root / name).splitlines(), 1):
            if not line.strip():
                continue
            try:
                first, *values = (float(part) for part in line.split())
            except ValueError:
                first, values = -1.0, []
            # Four numbers are a box, five a box and how sure a model was of it.
            good = len(values) in (4, 5) or (len(values) >= 6 and len(values) % 2 == 0)
            if not good or first < 0 or first != int(first) or not np.isfinite(values).all():
                raise UnsegError(
                    f"{name} line {number} is neither a box nor a polygon: expected class, x, y, "
                    "width, height or class, x1, y1, x2, y2, ... in shares of the image"
                )
            if max(values[:4] if len(values) < 6 else values) > SLACK:
                raise UnsegError(
                    f"{name} line {number} holds {max(values):g}: expected shares of the image, 0 "
                    "to 1, not pixels"
                )
            rows.append((int(first) + 1, values))
        return rows

    def classes_in(self, image: str) -> frozenset[int] | None:
        name = self.label_of(image)
        return None if name is None else frozenset(number for number, _ in self.rows(name))

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        name = self.label_of(image)
        if name is None:
            return None
        width, height = size
        masks, boxes, remarks = [], [], []
        for number, values in self.rows(name):
            if len(values) >= 6:
                points = np.array(values).reshape(-1, 2) * (width, height)
                mask = mask_of_polygons([points.ravel().tolist()], (height, width))
                if mask.any():
                    masks.append((number, mask))
                continue
            x, y, w, h = values[:4]
            corners = np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, 1)
            if min((corners[2] - corners[0]) * width, (corners[3] - corners[1]) * height) < 1:
                text = f"{name} has a box that covers no pixel, which is left out"
                remarks.append(Remark(text, warning=True))
            else:
                boxes.append((number, corners.tolist()))
        labels, objects = paint_objects((height, width), masks)
        found = boxes_of(boxes, relative=True, name=name)
        return Annotation(labels, objects, found, name, tuple(remarks))


def _labels_one(name: str) -> bool:
    """Whether a text file's name may be that of an image's labels."""
    own = PurePosixPath(name).name.lower()
    return own not in LISTS and not own.startswith("readme")


class YoloSeg(Yolo):
    """Polygons."""

    name = "yolo-seg"
    summary = "data.yaml, images/ and labels/*.txt with polygons (YOLO segmentation)"
    outlines = True
