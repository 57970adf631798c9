"""CVAT's ``labelmap.txt``: which colour of a colour map is which class, and which is background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unseg.errors import UnsegError
from unseg.masks.labelmap import VOID, LabelMap

LABELMAP = "labelmap.txt"
#: Names of the background in CVAT's and Datumaro's exports.
_BACKGROUND = ("background", "_background_", "__background__")


@dataclass(frozen=True)
class ColourClasses:
    """The colours of a set of colour maps.

    Args:
        numbers: by colour, R + 256 G + 65536 B, the class: 0 is background, others count from 1
            in the order of the list.
        names: of the classes by number.
        file: where they come from.
    """

    numbers: Mapping[int, int]
    names: Mapping[int, str]
    file: str

    def labels(self, found: LabelMap, name: str) -> LabelMap:
        """A colour map with the numbers of its classes as labels; other maps stay as they are.

        Raises:
            UnsegError: when the map has a colour that is not listed.
        """
        if not found.coloured:
            return found
        colours, place = np.unique(found.values, return_inverse=True)
        fresh = []
        for colour in colours.tolist():
            number = VOID if colour == found.void else self.numbers.get(colour)
            if number is None:
                said = ", ".join(str(colour >> shift & 255) for shift in (0, 8, 16))
                raise UnsegError(
                    f"{name} has the colour {said}, which {self.file} does not list: add it, or "
                    f"leave {LABELMAP} out"
                )
            fresh.append(number)
        values = np.array(fresh, np.uint8)[place].reshape(found.values.shape)
        return replace(found, values=values, wide=False, void=None, coloured=False)


def read_labelmap(folder: Path) -> ColourClasses | None:
    """The list in a folder of masks or the one above; None where there is none with colours.

    A line is ``name:R,G,B:parts:actions``; one that begins with ``#`` is a comment.

    Raises:
        UnsegError: when a line has no colour, or there are more than 254 classes.
    """
    path = next(
        (one for one in (folder / LABELMAP, folder.parent / LABELMAP) if one.is_file()), None
    )
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnsegError(f"{path} cannot be read ({error}): save it as UTF-8") from error
    rows = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
    if not any(len(row) > 1 for row in rows):
        return None  # a list of names alone
    numbers: dict[int, int] = {}
    names: dict[int, str] = {}
    for row in rows:
        try:
            red, green, blue = (int(part) for part in row[1].split(","))
        except (IndexError, ValueError) as error:
            raise UnsegError(
                f"{path}: {':'.join(row)!r:.60} has no colour: expected name:R,G,B"
            ) from error
        background = row[0].strip().lower() in _BACKGROUND
        number = 0 if background else len(names) + 1
        numbers[red + 256 * green + 65536 * blue] = number
        if not background:
            names[number] = row[0].strip()
    if len(names) >= VOID:
        raise UnsegError(f"{path} has {len(names)} classes: expected at most 254")
    return ColourClasses(numbers, names, path.name)
