"""Photographs and label maps of the same stems, and a list of which image serves what.

``images/NAME.jpg``, ``masks/NAME.png`` with a class index in every pixel, and ``split.json`` with
the stems of ``train`` and ``test``; what else that file holds is not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from unseg.datasets.base import Reading, class_labels, expect_file
from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError

LAYOUT = "images/NAME.jpg, masks/NAME.png and split.json with the stems of train and test"


def read_listed(root: Path, part: str, classes: Sequence[str]) -> Reading:
    """Find the images of a part.

    Args:
        root: holds ``images``, ``masks`` and ``split.json``.
        part: ``train`` or ``test``.
        classes: names of the label maps' values, the first of them the background.

    Returns:
        Samples sorted by name. Their mask is all that is neither background nor void (255); of two
        classes it is the whole truth, of more there are ``labels``.

    Raises:
        UnsegError: when a file is missing, or the list is damaged.
    """
    names = sorted(_stems(root / "split.json", part))
    images = [expect_file(root / "images" / f"{name}.jpg", LAYOUT) for name in names]
    masks = [expect_file(root / "masks" / f"{name}.png", LAYOUT) for name in names]

    def read(i: int) -> Sample:
        labels = class_labels(masks[i], len(classes))
        mask = (labels > 0) & (labels != VOID)
        # Void of a binary problem would be lost with the labels.
        whole = len(classes) == 2 and not (labels == VOID).any()
        return Sample.read(names[i], images[i], mask, labels=None if whole else labels)

    return Reading(LazySamples(names, read), tuple(classes), (*images, *masks))


def _stems(path: Path, part: str) -> list[str]:
    text = expect_file(path, LAYOUT).read_bytes()
    try:
        found = json.loads(text)[part]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnsegError(
            f"{path} has no list of {part} images ({type(error).__name__}): expected {LAYOUT}"
        ) from error
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise UnsegError(f"{path}: {part} is no list of names: expected {LAYOUT}")
    if len(set(found)) < len(found):
        raise UnsegError(f"{path} names an image of {part} twice: write every stem once")
    return found
