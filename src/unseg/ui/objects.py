"""What is chosen in one photograph: objects that clicks add and remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
#: Pieces of what was found that can be removed one by one; smaller ones go with the last.
_PIECES = 40

Outcome = Literal["added", "removed", "nothing"]


class ChosenObjects:
    """The objects of one photograph, at the size at which the model sees it.

    Args:
        found: (h, w) bool, what the mask sources found; every connected piece is an object.

    Example:
        >>> found = np.zeros((4, 6), bool)
        >>> found[1, 1] = found[2, 4] = True
        >>> objects = ChosenObjects(found)
        >>> objects.toggle(1, 1, lambda: found), len(objects.masks), objects.changed
        ('removed', 1, True)
        >>> objects.undo()
        >>> len(objects.masks), objects.changed
        (2, False)
    """

    def __init__(self, found: Mask) -> None:
        self._found = found
        self._states: list[tuple[Mask, ...]] = [tuple(pieces(found))]

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The chosen objects, (h, w) bool each; they may overlap."""
        return self._states[-1]

    @property
    def changed(self) -> bool:
        """Whether the owner chose, so that what was found no longer counts."""
        return len(self._states) > 1

    @property
    def union(self) -> Mask:
        """(h, w) bool: all that is chosen."""
        return np.logical_or.reduce([np.zeros_like(self._found), *self.masks])

    def toggle(self, x: int, y: int, ask: Callable[[], Mask]) -> Outcome:
        """A click: remove what is chosen there, else add what is there.

        Args:
            x: column, in the mask's pixels.
            y: row.
            ask: finds the object at the point; called only where none is chosen.

        Returns:
            What happened; ``nothing`` where no object was found.
        """
        left = tuple(mask for mask in self.masks if not mask[y, x])
        if len(left) < len(self.masks):
            self._states.append(left)
            return "removed"
        mask = ask()
        if not mask.any():
            return "nothing"
        self._states.append((*self.masks, mask))
        return "added"

    def clear(self) -> None:
        """Choose nothing."""
        if self.masks:
            self._states.append(())

    def undo(self) -> None:
        """Take the last step back."""
        if self.changed:
            self._states.pop()

    def restart(self) -> None:
        """Choose what was found."""
        del self._states[1:]


def pieces(mask: Mask) -> list[Mask]:
    """The connected pieces of a mask, the largest first; of very many the smallest are one."""
    count, numbers = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    area = np.bincount(numbers.ravel(), minlength=count)
    area[0] = 0
    order = [int(i) for i in np.argsort(-area, kind="stable") if area[i]]
    kept, rest = order[: _PIECES - 1], order[_PIECES - 1 :]
    found = [numbers == number for number in kept]
    return [*found, np.isin(numbers, rest)] if rest else found
