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
    """One photograph at its original resolution and its foreground.

    Args:
        name: the file's stem; unique within a task.
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool, true is foreground.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.image.shape != (*self.mask.shape, 3):
            raise UnsegError(
                f"{self.name}: the image is {self.image.shape[1]}x{self.image.shape[0]} but its "
                f"mask is {self.mask.shape[1]}x{self.mask.shape[0]}: both must have one size"
            )


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
