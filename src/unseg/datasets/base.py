"""What every reader of a layout returns, and the checks they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError
from unseg.images.formats import FORMATS, MASK_SUFFIXES
from unseg.masks.labels import read_label_map

MASKS = (*MASK_SUFFIXES, *FORMATS["JPEG"].suffixes)
"""Of the masks of published sets, which are JPEG files in some."""


@dataclass(frozen=True)
class Reading:
    """One part of a data set, found but not yet read.

    Args:
        samples: read each time they are asked for; ``tuple(...)`` holds them in memory.
        classes: names; a label or category of a sample is an index into them.
        files: every file the samples come from, for checksums.
        things: the classes that have instances.
    """

    samples: LazySamples
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    things: frozenset[int] = frozenset()


def joined(readings: Sequence[Reading]) -> Reading:
    """Several readings of the same classes, one after the other."""
    places = [(part.samples, i) for part in readings for i in range(len(part.samples))]
    names = [name for part in readings for name in part.samples.names]
    first = readings[0]
    files = tuple(path for part in readings for path in part.files)

    def read(i: int) -> Sample:
        samples, index = places[i]
        return samples[index]

    return Reading(LazySamples(names, read), first.classes, files, first.things)


def expect_file(path: Path, layout: str) -> Path:
    """The path, if it is a file.

    Raises:
        UnsegError: names the file and the layout it belongs to.
    """
    if not path.is_file():
        raise UnsegError(f"{path} is missing: expected {layout}")
    return path


def expect_files(folder: Path, suffixes: Sequence[str], layout: str) -> list[Path]:
    """Files of a folder with one of the suffixes, whatever their case, sorted by name.

    Raises:
        UnsegError: when the folder is missing or holds none.
    """
    known = tuple(suffixes)
    found = (
        sorted(p for p in folder.iterdir() if p.suffix.lower() in known) if folder.is_dir() else []
    )
    if not found:
        what = "holds no " + ", ".join(known) if folder.is_dir() else "is missing"
        raise UnsegError(f"{folder} {what}: expected {layout}")
    return found


def read_lines(path: Path, layout: str) -> list[str]:
    """Lines of a text file, stripped, without empty ones.

    Raises:
        UnsegError: when the file is missing, no text, or empty.
    """
    try:
        lines = expect_file(path, layout).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnsegError(f"{path} cannot be read as text ({error}): expected {layout}") from error
    if not (found := [line.strip() for line in lines if line.strip()]):
        raise UnsegError(f"{path} is empty: expected {layout}")
    return found


def class_labels(
    path: Path, classes: int, *, void: Iterable[int] = (VOID,), shift: int = 0
) -> NDArray[np.uint8]:
    """Read a label map of class indices.

    Args:
        path: of the map.
        classes: how many there are, at most 255.
        void: the file's values that become 255.
        shift: subtracted from all other values.

    Returns:
        (H, W) uint8; 255 is void.

    Raises:
        UnsegError: when the map holds a label that is neither a class nor void.
    """
    values = read_label_map(path).values.astype(np.int64)
    ignored = np.isin(values, list(void))
    labels = np.where(ignored, VOID, values - shift)
    wrong = ~ignored & ((labels < 0) | (labels >= classes))
    if wrong.any():
        raise UnsegError(
            f"{path} holds label {values[wrong][0]}: expected {shift} to {classes - 1 + shift}, or "
            f"{', '.join(map(str, void))} for void"
        )
    return labels.astype(np.uint8)
