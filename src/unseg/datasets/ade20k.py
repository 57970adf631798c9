"""ADE20K's scene parsing layout: 150 classes, ``ADEChallengeData2016``.

Zhou et al., *Scene Parsing through ADE20K Dataset*, CVPR 2017. In the files 0 is everything else,
which is void here, and 1..150 are the classes, 0..149 here.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import (
    Reading,
    class_labels,
    expect_files,
    read_lines,
)
from unseg.datasets.layout import Survey
from unseg.datasets.maps import MapLayout
from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError
from unseg.masks.labels import LabelMap
from unseg.masks.pairing import pair

COUNT = 150
PHOTOGRAPHS = (".jpg", ".png")
LAYOUT = (
    "ADE20K's layout: images/{training,validation}/*.jpg, annotations/{training,validation}/*.png "
    "and, for the classes' names, objectInfo150.txt"
)


def read_ade20k(root: Path, part: str) -> Reading:
    """Find a part of ADE20K.

    Args:
        root: ``ADEChallengeData2016``.
        part: ``training`` or ``validation``.

    Returns:
        Samples with ``labels``; all that is not void is foreground.

    Raises:
        UnsegError: when a file is missing or is not what the layout says.
    """
    images = expect_files(root / "images" / part, PHOTOGRAPHS, LAYOUT)
    maps = pair(images, root / "annotations" / part, LAYOUT, (".png",))

    def read(i: int) -> Sample:
        labels = class_labels(maps[i], COUNT, void=(0,), shift=1)
        return Sample.read(images[i].stem, images[i], labels != VOID, labels=labels)

    samples = LazySamples([path.stem for path in images], read)
    return Reading(samples, class_names(root), (*images, *maps))


def class_names(root: Path) -> tuple[str, ...]:
    """The last column of ``objectInfo150.txt``; numbers where the file is not there."""
    path = root / "objectInfo150.txt"
    if not path.is_file():
        return tuple(f"class {i + 1}" for i in range(COUNT))
    rows = [line for line in read_lines(path, LAYOUT) if line.split()[0].isdigit()]
    if len(rows) != COUNT:
        raise UnsegError(f"{path} lists {len(rows)} classes: expected {COUNT}")
    return tuple(row.split("\t")[-1].strip() for row in rows)


class Ade20k(MapLayout):
    """Maps of 150 classes in ``annotations``; 0 is everything else."""

    name = "ade20k"
    summary = "images/{training,validation}/, annotations/{training,validation}/ (ADE20K scenes)"
    fixed_names = True

    @classmethod
    def detect(cls, root: Path) -> int:
        folders = (root / kind / "training" for kind in ("images", "annotations"))
        return 3 if all(folder.is_dir() for folder in folders) else 0

    @cached_property
    def classes(self) -> dict[int, str]:
        """Classes by number, the label in the files; ADE's synonyms are one name."""
        return dict(enumerate(class_names(self.root), 1))

    def survey(self) -> Survey:
        images = {
            name: (PurePosixPath(name).parts[1],)
            for name in self.images_below("images")
            if len(PurePosixPath(name).parts) > 2
        }
        return Survey(self.name, images, self.classes, dense=True)

    def map_of(self, image: str) -> str | None:
        path = PurePosixPath("annotations", *PurePosixPath(image).parts[1:]).with_suffix(".png")
        return str(path) if (self.root / path).is_file() else None

    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        return np.where(labels.values <= COUNT, labels.values, 0).astype(np.int32)
