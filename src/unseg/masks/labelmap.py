"""A label map in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.remarks import Remark

#: The label that is void in maps of 8 bits, by custom.
VOID = 255
#: What trimaps call unknown.
TRIMAP = (127, 128)


@dataclass(frozen=True)
class LabelMap:
    """Labels of an image's pixels.

    Args:
        values: (H, W), of an integer dtype, not negative.
        wide: whether the file holds more than 8 bits a pixel, so that labels are instance ids.
        remarks: what an owner should know of how the mask was read.
        void: the label that this kind of map uses for void, where it is not 255 in 8 bits.
        coloured: whether labels are colours, R + 256 G + 65536 B: names, not numbers.
    """

    values: NDArray[np.integer[Any]]
    wide: bool = False
    remarks: tuple[Remark, ...] = ()
    void: int | None = None
    coloured: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.values.shape[1], self.values.shape[0]

    @property
    def usual_void(self) -> int | None:
        """The label that is void unless the owner names one; None if none is."""
        if self.void is not None or self.wide:
            return self.void
        return None if self.enclosed == "object" else VOID

    @cached_property
    def enclosed(self) -> Literal["object", "void"] | None:
        """What 255 means where most of it touches no background, in maps of 8 bits.

        A rim of void lies between an object and the background. 255 that other labels enclose is
        an ``object`` where it is more than they are, or where they are the grey of a trimap (0,
        128 and 255), else ``void`` that may be meant otherwise; None where it is an ordinary rim or
        is not there.
        """
        if self.wide:
            return None
        void = self.values == VOID
        background = self.values == 0
        others = self.values.size - np.count_nonzero(void) - np.count_nonzero(background)
        if not (void.any() and background.any() and others):
            return None
        _, pieces = cv2.connectedComponents(void.astype(np.uint8), connectivity=8)
        beside = cv2.dilate(background.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        inside = np.ones(int(pieces.max()) + 1, bool)
        inside[np.unique(pieces[beside])] = False
        inside[0] = False
        area = int(np.count_nonzero(inside[pieces]))
        if 2 * area <= np.count_nonzero(void) or 10 * area <= others:
            return None
        trimap = np.count_nonzero(np.isin(self.values, TRIMAP)) == others
        return "object" if area > others or trimap else "void"
