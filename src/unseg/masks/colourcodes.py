"""Which colours a set of colour maps has, so that each gets a number of its own.

A class asks for its texture by a number. Colours as numbers lie far apart and would share textures
(R + 256 G + 65536 B modulo the count of textures), so the colours of a run are numbered. Where
there are more classes than textures, neighbours in that order still differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from unseg.errors import UnsegError
from unseg.masks.labelmap import LabelMap
from unseg.masks.labels import read_label_map


def colours_of(maps: Iterable[LabelMap]) -> tuple[int, ...]:
    """The colours of colour maps as labels, sorted, without black and void."""
    found: set[int] = set()
    for one in maps:
        if one.coloured:
            found |= set(np.unique(one.values).tolist()) - {one.void}
    return tuple(sorted(found - {0}))


def colours_in(paths: Iterable[Path]) -> tuple[int, ...]:
    """The colours of colour maps in files; those that cannot be read are told of by the run."""

    def maps() -> Iterable[LabelMap]:
        for path in paths:
            try:
                with Image.open(path) as image:  # the header alone
                    colour = image.mode in {"RGB", "RGBA"}
                if colour:
                    yield read_label_map(path)
            except (OSError, ValueError, SyntaxError, UnsegError):
                continue

    return colours_of(maps())
