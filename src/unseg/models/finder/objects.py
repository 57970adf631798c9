"""Objects beside people: boxes from the detector, outlines in them from the base SAM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unseg.models.finder.detector import NAMES, PERSON, Detections, Detector, box_iou
from unseg.models.finder.people import FoundObjects
from unseg.models.propose import masks_of_boxes
from unseg.models.sam.base import SamBase

#: What is called by another class's name: kinds of one thing, which boxes are often both of.
_SAME = {
    "boot": "shoe", "high heel": "shoe", "coffee cup": "cup", "mug": "cup", "desk": "table",
}  # fmt: skip
#: Of these, the box with the better name is kept though the other is surer.
_BROADER = {"vehicle": "car"}
#: What people wear and hold is theirs already.
_WORN = ("shoe", "book", "camera", "bottle", "cup", "box")


@dataclass(frozen=True)
class ObjectConfig:
    """What counts as an object.

    Args:
        score: smallest score of a box.
        overlap: of boxes whose IoU is larger, one is kept.
        most: objects in one image.
        input_size: side of the base's input in pixels, where it takes any size.
        filled: smallest share of the box that the outline covers.
        own: smallest share of an object's pixels that are nobody's.
    """

    score: float = 0.4
    overlap: float = 0.5
    most: int = 24
    input_size: int = 512
    filled: float = 0.2
    own: float = 0.5


@torch.no_grad()
def find_objects(
    detector: Detector,
    base: SamBase,
    image: Float[Tensor, "3 h w"],
    people: FoundObjects,
    config: ObjectConfig | None = None,
) -> FoundObjects:
    """People, and the objects of other classes that the detector knows.

    Args:
        detector: proposes boxes.
        base: draws the outline in each.
        image: (3, H, W), float, RGB, in [0, 255].
        people: of the image, who are kept as they are.
        config: what counts.

    Returns:
        The people, then the objects, on the image's device.
    """
    config = config or ObjectConfig()
    height, width = image.shape[-2:]
    others = [number for number in range(1, len(NAMES)) if number != PERSON]
    found = detector.detect(image, config.score, config.overlap, others)
    kept = _one_each(found, config.overlap)[: config.most]
    if not kept:
        return people
    boxes = found.boxes[kept].cpu() * torch.tensor([width, height, width, height])
    model = base.at_size(config.input_size) if base.name == "mobile_sam" else base
    drawn = masks_of_boxes(model, image, boxes)
    numbers, names = people.numbers.clone(), list(people.names)
    for place, (index, box) in enumerate(zip(kept, boxes, strict=True), 1):
        name = _name(int(found.classes[index]))
        mask = drawn == place
        free = mask & (numbers == 0)
        area, size = int(mask.sum()), float((box[2:] - box[:2]).prod())
        held = name in _WORN and _on_person(people, box)
        if held or area < config.filled * size or int(free.sum()) < max(config.own * area, 1):
            continue
        names.append(name)
        numbers[free] = len(names)
    return FoundObjects(numbers, tuple(names))


def _name(number: int) -> str:
    return _SAME.get(NAMES[number], NAMES[number])


def _one_each(found: Detections, overlap: float) -> list[int]:
    """Places of the boxes, the surest first; of those around one thing, the best-named is kept."""
    close = box_iou(found.boxes) > overlap
    names = [_name(int(number)) for number in found.classes]
    kept: list[int] = []
    for index, name in enumerate(names):
        rivals = [one for one in kept if close[index, one]]
        if not rivals:
            kept.append(index)
        elif _BROADER.get(names[rivals[0]]) == name:
            kept[kept.index(rivals[0])] = index
    return kept


def _on_person(people: FoundObjects, box: Float[Tensor, " 4"]) -> bool:
    """Whether more than a tenth of a box is people."""
    left, top, right, bottom = (int(side) for side in box)
    inside = people.numbers[top : bottom + 1, left : right + 1]
    return bool((inside > 0).float().mean() > 0.1)
