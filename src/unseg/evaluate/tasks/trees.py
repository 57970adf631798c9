"""Trees from the air: four photographs with a box around every crown, cut into tiles."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, hold_out
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.tiles import Tile, checksum, decode, tiles
from unseg.wheels import open_member

PACKAGE = "deepforest"
PHOTOGRAPHS = {
    "yell528": "2019_YELL_2_528000_4978000_image_crop2",
    "yell541": "2019_YELL_2_541000_4977000_image_crop",
    "osbs": "OSBS_029",
    "soap": "SOAP_061",
}
"""Short names, and files in the wheel: a .png and its boxes in Pascal VOC's XML."""
VISIBLE = 0.5
"""A crown belongs to the tile that holds more than this share of its box."""


class TreesTask(Task):
    """Average precision of tree boxes on tiles of about 400 pixels (10 cm a pixel, NEON).

    The photographs lie in the wheel of deepforest (``pip download --no-deps -d wheels
    deepforest==2.1.0``) with 951 boxes. Of photographs that are cut, the rightmost column of
    tiles is tested on; tiles do not overlap, and a box that a cut halves is in one of them at
    most. What is protected are the boxes.

    Args:
        tile: side of a tile, in pixels, about.
    """

    name = "trees"
    folder = ""
    problem = Problem("detection", ("tree",), frozenset({0}))
    metric = "ap50"
    floor = 0.40
    summary = "boxes of trees in aerial photographs, from the wheel of deepforest"
    pictures_allowed = True

    def __init__(self, *, tile: int = 400) -> None:
        self.tile = tile

    def load(self, root: Path, part: Part = "test") -> Split:
        train: list[Sample] = []
        test: list[Sample] = []
        for short, file in PHOTOGRAPHS.items():
            image = decode(open_member(PACKAGE, f"*/{file}.png", root), file)
            boxes = read_boxes(open_member(PACKAGE, f"*/{file}.xml", root), file)
            cut = list(tiles(image.shape, self.tile))
            last = max(tile.column for tile in cut)
            for tile in cut:
                sample = _sample(f"{short}-r{tile.row}c{tile.column}", image, boxes, tile)
                (test if 0 < last == tile.column else train).append(sample)
        if part == "val":
            train, test = hold_out(tuple(train))
        return Split(tuple(train), tuple(test), checksum([*train, *test]))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return average_precision(pairs, self.problem.classes, "bbox")


def read_boxes(content: bytes, name: str) -> NDArray[np.float32]:
    """(n, 4) float32 xyxy of the objects in a Pascal VOC annotation.

    Raises:
        UnsegError: when it is not one, or names no object.
    """
    try:
        found = [
            [float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax")]
            for box in ElementTree.fromstring(content).iter("bndbox")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise UnsegError(
            f"{name}.xml is not a Pascal VOC annotation ({error}): get the wheel again"
        ) from error
    if not found:
        raise UnsegError(f"{name}.xml has no box: get the wheel of {PACKAGE} again")
    return np.array(found, dtype=np.float32)


def _sample(name: str, image: NDArray[np.uint8], boxes: NDArray[np.float32], tile: Tile) -> Sample:
    """The tile with the boxes that belong to it, cut at its edges."""
    size = np.array([tile.width, tile.height] * 2, dtype=np.float32)
    moved = boxes - np.array([tile.left, tile.top] * 2, dtype=np.float32)
    cut = moved.clip(0, size)
    kept = cut[_area(cut) > VISIBLE * _area(moved)]
    mask = np.zeros((tile.height, tile.width), dtype=bool)
    for left, top, right, bottom in kept.round().astype(int).tolist():
        mask[top:bottom, left:right] = True
    categories = np.zeros(len(kept), dtype=np.int64)
    return Sample(name, image[tile.window], mask, categories=categories, boxes=kept)


def _area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return np.asarray(sides.prod(axis=1))
