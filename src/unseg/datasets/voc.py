"""Pascal VOC's layout: ``JPEGImages``, ``SegmentationClass`` and lists of names.

Everingham et al., *The Pascal Visual Object Classes (VOC) Challenge*, IJCV 2010. Other sets come in
the same layout with class names of their own in ``labels.txt``, one a line.
"""

from __future__ import annotations

from pathlib import Path

from unseg.datasets.base import Reading, class_labels, expect_file, read_lines
from unseg.datasets.samples import VOID, LazySamples, Sample

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
LAYOUT = (
    "Pascal VOC's layout: JPEGImages/NAME.jpg, SegmentationClass/NAME.png and "
    "ImageSets/Segmentation/PART.txt with one NAME a line"
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
    images = [expect_file(root / "JPEGImages" / f"{name}.jpg", LAYOUT) for name in names]
    maps = [expect_file(root / "SegmentationClass" / f"{name}.png", LAYOUT) for name in names]

    def read(i: int) -> Sample:
        labels = class_labels(maps[i], len(classes))
        mask = labels != VOID
        if background is not None:
            mask &= labels != background
        return Sample.read(names[i], images[i], mask, labels=labels)

    return Reading(LazySamples(names, read), classes, (index, *own, *images, *maps))
