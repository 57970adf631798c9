"""Label maps among photographs: noise on them would ruin a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.reader import read_photo
from unseg.masks.colours import ids_of
from unseg.masks.shades import black_and_white, flatness

#: Values of a map of 8 bits at most; share of neighbours that are equal, at least in a map and at
#: most in a photograph; the least pixels that tell.
VALUES, FLAT, LIVELY, LEAST = 64, 0.9, 0.7, 256
#: Images that are looked at to find a photograph, and pixels of each, in whole rows.
LOOKED_AT, PIXELS = 24, 1_000_000


def is_label_map(photo: Photo) -> bool:
    """Whether an image is a label map or a mask: few values, in areas.

    Example:
        >>> halves = np.zeros((20, 20), np.uint8)
        >>> halves[:, 10:] = 15
        >>> noise = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
        >>> is_label_map(Photo(halves)), is_label_map(Photo(noise))
        (True, False)
    """
    values = _values(photo)
    if values.size < LEAST or flatness(values) < FLAT:
        return False
    count = len(np.unique(values))
    if count <= VALUES or (photo.grey and photo.bits == 16):
        return count > 1
    return photo.grey and black_and_white(values) is not None


def holds_photographs(paths: Sequence[Path]) -> bool:
    """Whether one of some files is a photograph: many values that change from pixel to pixel."""
    for path in _spread(paths):
        try:
            photo = read_photo(path)
        except UnsegError:
            continue
        if is_photograph(photo):
            return True
    return False


class AmongPhotographs:
    """Whether there are photographs among some files, found out when it is first asked.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._found: bool | None = None

    def __call__(self) -> bool:
        if self._found is None:
            self._found = holds_photographs(self._paths)
        return self._found

    def __reduce__(self) -> tuple[type[AmongPhotographs], tuple[list[Path]]]:
        """As few paths as are looked at go along to another process."""
        return AmongPhotographs, (_spread(self._paths),)


def is_photograph(photo: Photo) -> bool:
    """Whether an image has many values that change from pixel to pixel."""
    values = _values(photo)
    return values.size >= LEAST and flatness(values) < LIVELY


def _spread(paths: Sequence[Path]) -> list[Path]:
    """At most so many paths as are looked at, evenly; of these again, the same."""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), LOOKED_AT)).round().astype(int)
    return [paths[place] for place in dict.fromkeys(chosen.tolist())]


def refusal(name: str) -> str:
    """What to tell the owner of a label map among photographs."""
    return (
        f"{name} looks like a label map or mask, and other images are photographs: noise would "
        "ruin it, so give only the folder of the photographs, or protect this image alone"
    )


def _values(photo: Photo) -> NDArray[Any]:
    """(rows, W): a value for every colour, of some rows of large images."""
    pixels = photo.pixels[:: max(1, photo.size[0] * photo.size[1] // PIXELS)]
    if photo.grey:
        return pixels
    return ids_of(pixels if photo.bits == 8 else (pixels >> 8).astype(np.uint8))
