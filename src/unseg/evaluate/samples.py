"""What a task's files become in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from unseg.errors import UnsegError


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
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None = None
    instances: NDArray[np.int32] | None = None
    categories: NDArray[np.int64] | None = None
    boxes: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for kind, found in (
            ("mask", self.mask), ("label map", self.labels), ("instance map", self.instances)
        ):  # fmt: skip
            if found is not None and self.image.shape != (*found.shape, 3):
                raise UnsegError(
                    f"{self.name}: the image is {self.image.shape[1]}x{self.image.shape[0]} but "
                    f"its {kind} is {found.shape[1]}x{found.shape[0]}: both must have one size"
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
        boxes = np.zeros((len(self.categories), 4), dtype=np.float32)
        for i in range(len(self.categories)):
            rows, columns = np.nonzero(self.instances == i + 1)
            if len(rows):
                boxes[i] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return boxes


@dataclass(frozen=True)
class Split:
    """A task's data: what the victim trains on, and the clean images it is tested on.

    Args:
        train: training samples, clean; conditions and defences come later.
        test: test samples; no condition ever touches them.
        sha256: checksum over the names and contents of every file read.
    """

    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    sha256: str


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a photograph as (H, W, 3) uint8 RGB, EXIF orientation applied.

    Raises:
        UnsegError: when the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except OSError as error:
        raise UnsegError(f"{path} cannot be read as an image: {error}") from error


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float in [0, 255]."""
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1).contiguous()


def to_array(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) float holding whole numbers in [0, 255] to (H, W, 3) uint8."""
    return image.permute(1, 2, 0).to(torch.uint8).numpy()
