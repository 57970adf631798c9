"""Pascal VOC's layout: ``JPEGImages``, ``SegmentationClass`` and lists of names.

Everingham et al., *The Pascal Visual Object Classes (VOC) Challenge*, IJCV 2010. Other sets come in
the same layout with class names of their own in ``labels.txt``, one a line.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import Reading, class_labels, expect_file, read_lines
from unseg.datasets.layout import ALL, Annotation, Survey, boxes_of, lines_of
from unseg.datasets.maps import MapLayout, named, numbered, plain_numbers
from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.cvat import ColourClasses, read_labelmap
from unseg.masks.labels import LabelMap, read_label_map
from unseg.remarks import Remark

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
SIDES = ("xmin", "ymin", "xmax", "ymax")
LAYOUT = (
    "Pascal VOC's layout: JPEGImages/NAME.jpg, SegmentationClass/NAME.png and "
    "ImageSets/Segmentation/PART.txt with one NAME per line"
)


def read_voc(root: Path, part: str, *, background: int | None = 0) -> Reading:
    """Find a part of a data set in VOC's layout.

    Args:
        root: the folder, for VOC itself ``VOCdevkit/VOC2012``.
        part: the list's name: ``train``, ``val``, ``trainval``, ``test``.
        background: the class that is not foreground; None where every class is foreground.

    Returns:
        Samples with ``labels``; 255 is void.

    Raises:
        UnsegError: when a file is missing or is not what the layout says.
    """
    index = root / "ImageSets" / "Segmentation" / f"{part}.txt"
    names = read_lines(index, LAYOUT)
    own = [path for path in (root / "labels.txt",) if path.is_file()]
    classes = tuple(read_lines(own[0], LAYOUT)) if own else CLASSES
    images = [photograph(root, name) for name in names]
    maps = [expect_file(root / "SegmentationClass" / f"{name}.png", LAYOUT) for name in names]

    def read(i: int) -> Sample:
        labels = class_labels(maps[i], len(classes))
        mask = labels != VOID
        if background is not None:
            mask &= labels != background
        return Sample.read(names[i], images[i], mask, labels=labels)

    return Reading(LazySamples(names, read), classes, (index, *own, *images, *maps))


def photograph(root: Path, name: str) -> Path:
    """The image of a listed name: JPEG as in VOC itself, or of another kind.

    Raises:
        UnsegError: when there is none.
    """
    places = [root / "JPEGImages" / f"{name}{suffix}" for suffix in IMAGE_SUFFIXES]
    found = [path for path in places if path.is_file()]
    return found[0] if found else expect_file(places[0], LAYOUT)


class Voc(MapLayout):
    """Label maps in ``SegmentationClass``; boxes of ``Annotations`` where there is no map."""

    name = "voc"
    summary = (
        "JPEGImages/, SegmentationClass/ (or Annotations/ with boxes), ImageSets/ (Pascal VOC)"
    )
    fixed_names = True

    @classmethod
    def detect(cls, root: Path) -> int:
        truths = any((root / name).is_dir() for name in ("SegmentationClass", "Annotations"))
        return 3 if (root / "JPEGImages").is_dir() and truths else 0

    @cached_property
    def classes(self) -> tuple[dict[int, str], bool]:
        """Classes by number, and whether every pixel has one."""
        own = named(self.root, "labels.txt", "classes.txt", "class_names.txt", "labelmap.txt")
        # CVAT's labelmap.txt: name, colour, parts and actions, after a line of comment.
        plain = [name.split(":")[0] for name in own.values() if not name.startswith("#")]
        if self._colours is not None:
            plain = ["background", *self._colours.names.values()]
        found, dense = numbered(dict(enumerate(plain)) if plain else dict(enumerate(CLASSES)))
        more = sorted({name for boxes in self._boxes.values() for name, _ in boxes})
        for name in more:
            if name not in found.values():
                found[max(found, default=0) + 1] = name
        return found, dense

    @cached_property
    def _boxes(self) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
        """By stem, the boxes of the images that have no map."""
        found = {}
        for path in sorted((self.root / "Annotations").glob("*.xml")):
            if not self._map(path.stem).is_file():
                found[path.stem] = read_boxes_xml(path)
        return found

    def _map(self, stem: str, folder: str = "SegmentationClass") -> Path:
        return self.root / folder / f"{stem}.png"

    def survey(self) -> Survey:
        lists = self.root / "ImageSets"
        own = [name for name in ("Segmentation", "Main") if any((lists / name).glob("*.txt"))]
        splits: dict[str, list[str]] = {}
        for path in sorted((lists / own[0]).glob("*.txt")) if own else []:
            # Main also has a list a class: the name, and whether the class is there.
            if own[0] == "Main" and "_" in path.stem:
                continue
            for line in lines_of(path):
                splits.setdefault(PurePosixPath(line.split()[0]).name, []).append(path.stem)
        images = {}
        for image in self.images_below("JPEGImages"):
            key = image.removeprefix("JPEGImages/")
            stem = str(PurePosixPath(key).with_suffix(""))
            of = splits.pop(stem, splits.pop(PurePosixPath(key).name, []))
            images[image] = tuple(of) if own else (ALL,)
        remarks = []
        if splits:
            text = f"ImageSets lists {len(splits)} images that are not there"
            remarks.append(Remark(f"{text} (first: {min(splits)})", warning=True))
        classes, dense = self.classes
        return Survey(self.name, images, classes, dense, tuple(remarks))

    def map_of(self, image: str) -> str | None:
        path = self._map(PurePosixPath(image).stem)
        return str(path.relative_to(self.root).as_posix()) if path.is_file() else None

    @cached_property
    def _colours(self) -> ColourClasses | None:
        """Of CVAT's exports, whose maps are in colour."""
        return read_labelmap(self.root)

    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        if labels.coloured and self._colours is not None:
            name = {name: number for number, name in self.classes[0].items()}
            found = self._colours.labels(labels, "a map of SegmentationClass")
            numbers = np.zeros(256, np.int32)
            for label, said in self._colours.names.items():
                numbers[label] = name[said]
            return numbers[found.values]
        return plain_numbers(labels, dense=self.classes[1])

    def objects_of(self, image: str, labels: LabelMap) -> NDArray[np.int32] | None:
        path = self._map(PurePosixPath(image).stem, "SegmentationObject")
        if not path.is_file():
            return None
        return plain_numbers(read_label_map(path), dense=False)

    def classes_in(self, image: str) -> frozenset[int] | None:
        boxes = self._boxes.get(PurePosixPath(image).stem)
        if boxes is None:
            return super().classes_in(image)
        number = {name: i for i, name in self.classes[0].items()}
        return frozenset(number[name] for name, _ in boxes)

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        stem = PurePosixPath(image).stem
        boxes = self._boxes.get(stem)
        if boxes is None:
            return super().annotation(image, size)
        number = {name: i for i, name in self.classes[0].items()}
        found = [(number[name], corners) for name, corners in boxes]
        file = f"Annotations/{stem}.xml"
        nothing = np.zeros((size[1], size[0]), np.int32)
        return Annotation(nothing, nothing, boxes_of(found, relative=False, name=file), file)


def read_boxes_xml(path: Path) -> list[tuple[str, tuple[float, ...]]]:
    """Names and corners (left, top, right, bottom) of the objects of a VOC annotation.

    Raises:
        UnsegError: when it is no such file.
    """
    found = []
    try:
        data = path.read_bytes()
        if b"<!ENTITY" in data:
            raise ValueError("it defines entities")
        for one in ElementTree.fromstring(data).iter("object"):
            box = one.find("bndbox")
            if box is not None:
                corners = [float(box.findtext(side) or "") for side in SIDES]
                found.append((one.findtext("name") or "object", tuple(corners)))
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise UnsegError(
            f"{path} cannot be read ({error}): expected an annotation of Pascal VOC with objects "
            "and their bndbox"
        ) from error
    return found
