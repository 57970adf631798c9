"""What was found, counted and in words: 3 people, 1 dog; where nothing has a name, 2 regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

#: What is counted where classes have no names: instances, and connected pieces.
OBJECT, REGION = "object", "region"
#: Long side, in pixels, at which pieces are counted, and the smallest that counts there.
_LOOKED, _SMALLEST = 1024, 16
#: Names that text lists; the others are counted together.
_SHOWN = 6
#: Plurals that no rule makes, of words that data sets name classes with.
_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "sheep": "sheep",
    "mouse": "mice", "knife": "knives", "aircraft": "aircraft", "skis": "skis",
    "scissors": "scissors", "fish": "fish", "foot": "feet", "tooth": "teeth",
    "wolf": "wolves", "leaf": "leaves",
}  # fmt: skip


def count_names(labels: Iterable[int], names: Mapping[int, str]) -> dict[str, int]:
    """How many objects there are of each class.

    Args:
        labels: the class of every object; 0 is none.
        names: of the classes.

    Returns:
        Numbers by name, those of classes without one as objects.

    Example:
        >>> count_names([1, 2, 1, 0], {1: "person"})
        {'object': 2, 'person': 2}
    """
    return dict(sorted(Counter(names.get(int(label), OBJECT) for label in labels).items()))


def labels_of_objects(
    labels: NDArray[np.integer], objects: NDArray[np.integer]
) -> NDArray[np.int32]:
    """(n,) int32: the class of every object that has pixels.

    Args:
        labels: (H, W), classes.
        objects: (H, W), numbers of objects from 1 on; 0 is none.
    """
    of = np.full(int(objects.max(initial=0)) + 1, -1, np.int32)
    of[objects.ravel()] = labels.ravel()
    return of[1:][of[1:] >= 0]


def count_pieces(foreground: NDArray[np.bool_]) -> dict[str, int]:
    """How many connected pieces a mask has, specks left out.

    Args:
        foreground: (H, W) bool.

    Returns:
        The number as regions; nothing of a mask that has none or covers everything.

    Example:
        >>> mask = np.zeros((40, 60), bool)
        >>> mask[5:15, 5:15] = mask[20:35, 30:50] = True
        >>> count_pieces(mask)
        {'region': 2}
    """
    if not foreground.any() or foreground.all():
        return {}
    height, width = foreground.shape
    scale = min(1.0, _LOOKED / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    count, _, figures, _ = cv2.connectedComponentsWithStats(small, connectivity=8)
    large = int((figures[1:count, cv2.CC_STAT_AREA] >= _SMALLEST).sum())
    return {REGION: max(1, large)}


def count_objects(numbers: NDArray[np.integer], foreground: NDArray[np.bool_]) -> dict[str, int]:
    """How many objects there are of a map of their numbers.

    Args:
        numbers: (H, W), the object that a pixel is of.
        foreground: (H, W) bool, where it counts.
    """
    count = len(np.unique(numbers[foreground]))
    return {OBJECT: count} if count else {}


def named_text(found: Mapping[str, int]) -> str:
    """What was found, the most frequent first.

    Example:
        >>> named_text({"dog": 1, "person": 3}), named_text({"region": 2}), named_text({})
        ('3 people, 1 dog', '2 regions', '')
    """
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    parts = [f"{count} {_plural(name, count)}" for name, count in ordered[:_SHOWN]]
    rest = sum(count for _, count in ordered[_SHOWN:])
    return ", ".join([*parts, *([f"{rest} of other classes"] if rest else [])])


def _plural(name: str, count: int) -> str:
    """A name as it stands behind a number; only the last word changes."""
    if count == 1:
        return name
    start, space, word = name.rpartition(" ")
    if word.lower() in _PLURALS:
        changed = _PLURALS[word.lower()]
    elif not word.isascii() or not word.isalpha():
        changed = word
    elif word.endswith(("s", "x", "z", "ch", "sh")):
        changed = f"{word}es"
    elif word.endswith("y") and word[-2:-1] not in set("aeiou"):
        changed = f"{word[:-1]}ies"
    else:
        changed = f"{word}s"
    return f"{start}{space}{changed}"
