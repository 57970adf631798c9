"""What a task's files become in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.reader import read_photo, rgb_of

VOID = 255
"""Label of pixels that are neither trained on nor scored."""


@dataclass(frozen=True)
class Sample:
    """One photograph at its original resolution, what is protected in it, and its ground truth.

    Args:
        name: the file's stem; unique within a task.
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool, true is the foreground that a condition protects.
        labels: (H, W) uint8 class indices, 255 is void; None is the mask itself as two classes.
        instances: (H, W) int32, 0 is no object and i is the object with ``categories[i - 1]``.
        categories: (n,) int64 classes of the objects.
        boxes: (n, 4) float32 xyxy of the objects, where the data has boxes only.
        photo: the file's pixels where it is grey or has 16 bits, so that a condition protects what
            an owner would; None where ``image`` is the file's.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None = None
    instances: NDArray[np.int32] | None = None
    categories: NDArray[np.int64] | None = None
    boxes: NDArray[np.float32] | None = None
    photo: Photo | None = None

    @classmethod
    def read(cls, name: str, path: Path, mask: NDArray[np.bool_], **truth: Any) -> Self:
        """A sample of a photograph's file.

        Args:
            name: unique within a task.
            path: of the photograph.
            mask: (H, W) bool, the foreground that a condition protects.
            truth: ``labels``, ``instances``, ``categories`` and ``boxes``, as the class has them.

        Raises:
            UnsegError: when the file cannot be read, or a size differs.
        """
        photo = read_photo(path)
        plain = photo.bits == 8 and not photo.grey
        return cls(name, rgb_of(photo), mask, photo=None if plain else photo, **truth)

    def __post_init__(self) -> None:
        for kind, found in (
            ("mask", self.mask), ("label map", self.labels), ("instance map", self.instances)
        ):  # fmt: skip
            if found is not None and self.image.shape != (*found.shape, 3):
                raise UnsegError(
                    f"{self.name}: the image is {self.image.shape[1]}x{self.image.shape[0]} but "
                    f"its {kind} is {found.shape[1]}x{found.shape[0]}: both must have the same size"
                )

    @property
    def class_map(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class indices; 255 is void."""
        return self.mask.astype(np.uint8) if self.labels is None else self.labels

    @property
    def object_boxes(self) -> NDArray[np.float32]:
        """(n, 4) float32 xyxy of the objects, from ``boxes`` or around the instances."""
        if self.boxes is not None:
            return self.boxes
        if self.instances is None or self.categories is None:
            raise ValueError(f"{self.name} has neither boxes nor instances")
        boxes = [box_around(self.instances == i + 1) for i in range(len(self.categories))]
        return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def box_around(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Smallest xyxy box around a (H, W) mask, upper limits exclusive; zeros for an empty one."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


class LazySamples(Sequence[Sample]):
    """Samples that are read each time they are asked for: for sets that do not fit in memory.

    ``tuple(samples)`` reads all of them once and holds them.

    Args:
        names: the samples' names, known before any is read.
        read: reads the sample with a number, 0 to ``len(names) - 1``.
    """

    def __init__(self, names: Sequence[str], read: Callable[[int], Sample]) -> None:
        self.names = tuple(names)
        self._read = read

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> LazySamples: ...

    def __getitem__(self, index: int | slice) -> Sample | LazySamples:
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self._read(range(len(self))[index])

    def __iter__(self) -> Iterator[Sample]:
        # The inherited one would take an IndexError of a reader for the end.
        return (self._read(i) for i in range(len(self)))

    def select(self, indices: Sequence[int]) -> LazySamples:
        """Some of the samples, in the order of ``indices``."""
        return LazySamples([self.names[i] for i in indices], lambda i: self._read(indices[i]))

    def map(self, change: Callable[[Sample], Sample]) -> LazySamples:
        """Every sample changed when it is read; ``change`` keeps the name."""
        return LazySamples(self.names, lambda i: change(self._read(i)))


def as_lazy(samples: Sequence[Sample]) -> LazySamples:
    """The same samples, so that a change of them is made when one is asked for."""
    if isinstance(samples, LazySamples):
        return samples
    return LazySamples(names_of(samples), samples.__getitem__)


def mapped(samples: Sequence[Sample], change: Callable[[Sample], Sample]) -> Sequence[Sample]:
    """Change every sample: now for samples in memory, on reading for lazy ones."""
    if isinstance(samples, LazySamples):
        return samples.map(change)
    return [change(sample) for sample in samples]


def selected(samples: Sequence[Sample], indices: Sequence[int]) -> Sequence[Sample]:
    """Some of the samples, in the order of ``indices``; lazy ones stay lazy."""
    if isinstance(samples, LazySamples):
        return samples.select(indices)
    return [samples[i] for i in indices]


def replaced(samples: Sequence[Sample], changed: Sequence[Sample]) -> Sequence[Sample]:
    """The samples, those of the changed ones' names replaced by them."""
    names = names_of(samples)
    numbers = {name: i for i, name in enumerate(names_of(changed))}

    def read(i: int) -> Sample:
        number = numbers.get(names[i])
        return samples[i] if number is None else changed[number]

    if isinstance(samples, LazySamples):
        return LazySamples(names, read)
    return [read(i) for i in range(len(names))]


def names_of(samples: Sequence[Sample]) -> list[str]:
    """Names in order; reads no lazy sample."""
    if isinstance(samples, LazySamples):
        return list(samples.names)
    return [sample.name for sample in samples]


@dataclass(frozen=True)
class Split:
    """A task's data: what the victim trains on, and the clean images it is tested on.

    Either may be :class:`LazySamples`.

    Args:
        train: training samples, clean; conditions and defences come later.
        test: test samples; no condition ever touches them.
        sha256: checksum over the names and contents of every file read.
    """

    train: Sequence[Sample]
    test: Sequence[Sample]
    sha256: str


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float in [0, 255]."""
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1).contiguous()


def to_array(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) float holding whole numbers in [0, 255] to (H, W, 3) uint8."""
    return image.permute(1, 2, 0).to(torch.uint8).numpy()
