"""Photographs and masks of one foreground, in two folders with equal stems.

HQSeg-44K (Ke et al., *Segment Anything in High Quality*, NeurIPS 2023) with DIS5K, ThinObject5K,
COIFT and HRSOD in its folders; Kvasir-SEG (Jha et al., MMM 2020); the WHU building set (Ji et al.,
IEEE TGRS 2019), whose buildings are the connected pieces of its masks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import MASKS, Reading, expect_files
from unseg.datasets.samples import LazySamples, Sample
from unseg.images.formats import FORMATS, IMAGE_SUFFIXES
from unseg.masks.labels import read_binary_mask
from unseg.masks.pairing import pair

JPEG = FORMATS["JPEG"].suffixes

Objects = Callable[[NDArray[np.bool_]], NDArray[np.int32]]


def whole(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The foreground as one object."""
    return mask.astype(np.int32)


def pieces(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Every connected piece (4 neighbours, as the WHU set is usually converted) as an object."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1], np.int32)


def read_pairs(
    images: Path, masks: Path, layout: str, *, name: str, prefix: str = "", objects: Objects = whole
) -> Reading:
    """Find the pairs of two folders, which may be one.

    Args:
        images: folder of the photographs.
        masks: folder of the masks; a photograph without one is an error.
        layout: what to tell a user who lacks a file.
        name: of the only class.
        prefix: of the samples' names, where several folders share stems.
        objects: from a foreground to a map of objects 1..n.

    Returns:
        Samples with ``instances`` and ``categories``; their mask is the foreground.

    Raises:
        UnsegError: when a file is missing.
    """
    # In one folder the photographs are the JPEG files and nothing else is.
    together = images == masks
    found = expect_files(images, JPEG if together else IMAGE_SUFFIXES, layout)
    suffixes = [suffix for suffix in MASKS if not together or suffix not in JPEG]
    truths = pair(found, masks, layout, suffixes)
    names = [prefix + path.stem for path in found]

    def read(i: int) -> Sample:
        mask = read_binary_mask(truths[i])
        instances = objects(mask)
        categories = np.zeros(int(instances.max(initial=0)), dtype=np.int64)
        return Sample.read(names[i], found[i], mask, instances=instances, categories=categories)

    return Reading(LazySamples(names, read), (name,), (*found, *truths), frozenset({0}))
