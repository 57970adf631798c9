"""The interface of all layouts: what is in a data set, its exact masks, and names in its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.mentions import rewrite_mentions
from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.boxes import Boxes
from unseg.remarks import Remark

#: Class names that stand for what is no object.
BACKGROUNDS = frozenset(
    {
        "background", "_background_", "__background__", "bg", "__ignore__", "ignore", "ignored",
        "void", "null", "none", "unlabeled", "unlabelled", "unlabeled/other", "other/unlabeled",
    }
)  # fmt: skip
#: The split of a layout, or of a set, that has none.
ALL = "all"
_TESTED = ("val", "test", "dev", "eval", "holdout", "minival")


@dataclass(frozen=True)
class Annotation:
    """The objects of one image, as its data set says.

    Args:
        labels: (H, W) int32; 0 is no object, else the number of a class of :class:`Survey`.
        objects: (H, W) int32; 0 is no object, else the object's number within the image. None
            where the data set does not tell objects apart.
        boxes: objects that have a box and no outline, or None.
        file: name of the annotation's file, relative to the data set.
        remarks: what an owner should know of it.
    """

    labels: NDArray[np.int32]
    objects: NDArray[np.int32] | None = None
    boxes: Boxes | None = None
    file: str | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a data set holds; names are relative to its root, with ``/``.

    Args:
        layout: name of the layout.
        images: names of all images that the layout knows, each with its splits, which may be none.
        classes: numbers from 1 on and their names; empty where the files name none.
        dense: whether every pixel has a class, so that there is no background.
        remarks: what an owner should know before a run.
    """

    layout: str
    images: Mapping[str, tuple[str, ...]]
    classes: Mapping[int, str]
    dense: bool = False
    remarks: tuple[Remark, ...] = ()

    @cached_property
    def splits(self) -> dict[str, list[str]]:
        """Images by split, both sorted."""
        found: dict[str, list[str]] = {}
        for image, splits in self.images.items():
            for split in splits:
                found.setdefault(split, []).append(image)
        return {split: sorted(images) for split, images in sorted(found.items())}

    @property
    def training(self) -> tuple[str, ...]:
        """The splits that are trained on: those named so, else all that are not tested on."""
        names = list(self.splits)
        named = [name for name in names if _tail(name).startswith("train")]
        alone = [name for name in named if not _tail(name).startswith("trainval")]
        return tuple(
            alone or named or [name for name in names if not _tail(name).startswith(_TESTED)]
        )

    @property
    def objects(self) -> dict[int, str]:
        """The classes that are objects, not background, by number."""
        return {i: name for i, name in self.classes.items() if not is_background(name)}


def _tail(split: str) -> str:
    return split.lower().rpartition("/")[2]


def is_background(name: str) -> bool:
    """Whether a class's name stands for what is no object."""
    return name.strip().lower() in BACKGROUNDS


class Layout(ABC):
    """One file a layout. A layout is made for one data set and may remember what it has read.

    Args:
        root: folder of the data set.
    """

    name: ClassVar[str]
    """Short name, for ``--layout``."""
    summary: ClassVar[str]
    """What such a folder holds, in one line, for messages and the documentation."""
    fixed_names: ClassVar[bool] = False
    """Whether the layout's usual loaders put ``.jpg`` behind a listed name themselves, so that a
    JPEG file has to stay one."""
    keeps_kind: ClassVar[bool] = False
    """Whether images stay the kind of file they are, as another would lose what they are for."""
    exact: ClassVar[bool] = True
    """Whether annotations name their objects; masks that somebody drew may be upside down."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    @abstractmethod
    def detect(cls, root: Path) -> int:
        """How surely a folder has this layout: 0 is no; of several the highest is taken."""

    @abstractmethod
    def survey(self) -> Survey:
        """What there is, without reading any image.

        Raises:
            UnsegError: when a file that the layout needs is missing or damaged.
        """

    @abstractmethod
    def classes_in(self, image: str) -> frozenset[int] | None:
        """Numbers of the classes that an image's annotation has; None where it has none.

        Raises:
            UnsegError: when the annotation cannot be read.
        """

    @abstractmethod
    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        """The objects of an image; None where it is not annotated.

        Args:
            image: name, relative to the data set.
            size: (width, height) of the image in pixels.

        Raises:
            UnsegError: when the annotation cannot be read.
        """

    def series(self, image: str) -> str | None:
        """The series that an image is part of, whose images share one range of samples in use."""
        return None

    def rewrite(
        self, renamed: Mapping[str, str], protected: Collection[str], out: Path
    ) -> dict[str, bytes]:
        """The files that have to change with the images: their names and new bytes.

        Args:
            renamed: old and new names of images whose suffix changed.
            protected: old names of all images that were written, renamed or not.
            out: the finished images are below this folder.
        """
        return rewrite_mentions(self.root, renamed)

    def read(self, name: str) -> Path:
        """Path of a file of the data set."""
        return self.root / name

    def images_below(self, folder: str = "") -> list[str]:
        """Names of the images in a folder of the data set, sorted; none if it is not there."""
        start = self.root / folder if folder else self.root
        if not start.is_dir():
            return []
        prefix = f"{folder}/" if folder else ""
        return sorted(
            prefix + name
            for path, name in walk([start], ())
            if path.suffix.lower() in IMAGE_SUFFIXES
        )


def text_of(path: Path) -> str:
    """A text file, with or without a byte order mark.

    Raises:
        UnsegError: when it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnsegError(f"{path} cannot be read ({error}): save it as UTF-8") from error


def lines_of(path: Path) -> list[str]:
    """Lines of a text file, without empty ones; see :func:`text_of`."""
    return [line for line in text_of(path).splitlines() if line.strip()]


def paint_objects(
    shape: tuple[int, int], masks: list[tuple[int, NDArray[np.bool_]]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Objects to maps; where they overlap, the smaller lies on top.

    Args:
        shape: (H, W).
        masks: number of the class and (H, W) mask of each object.

    Returns:
        (H, W) numbers of classes and (H, W) numbers of objects from 1 on; 0 is none.
    """
    labels, objects = (np.zeros(shape, np.int32) for _ in range(2))
    order = sorted(range(len(masks)), key=lambda i: -int(masks[i][1].sum()))
    for i in order:
        number, mask = masks[i]
        labels[mask], objects[mask] = number, i + 1
    return labels, objects


def boxes_of(found: list[tuple[int, Any]], *, relative: bool, name: str) -> Boxes | None:
    """Boxes of (number of the class, left, top, right, bottom), or None where there are none."""
    if not found:
        return None
    corners = np.array([corners for _, corners in found], np.float32).reshape(-1, 4)
    limit = 1.0 if relative else None
    corners = np.clip(corners, 0, limit)
    labels = np.array([number for number, _ in found], np.int32)
    return Boxes(corners, labels, relative, name)
