"""People in a photograph, one by one: boxes from the detector, pixels from the person model.

The person model was made for one person who fills the image. So it is shown every detected person
in a window of their own; small people come out as sharp as large ones, and what it does not confirm
is no person. Without a box it is not asked: it takes cats and cups for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseg.models.finder.detector import PERSON, Detector
from unseg.models.finder.selfie import SelfieModel

Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class PeopleConfig:
    """What counts as a person.

    Args:
        score: smallest score of a box.
        overlap: of boxes whose IoU is larger, the surest is kept.
        most: people in one image.
        contexts: sides of the square windows around a box, in its longer side; the answers of
            several are averaged.
        beyond: how far a person may reach beyond the box, in shares of its sides: feet and hair.
        longer: by which share of its height a box grows where the person goes on beyond it.
        crossed: share of a window's edge that is a person's where they go on beyond it.
        probability: a pixel is a person's where the mean probability is larger.
        filled: smallest share of the box that the person covers.
        own: smallest share of a person's pixels that are no surer one's.
        smallest: smallest share of the image that a person covers.
    """

    score: float = 0.22
    overlap: float = 0.6
    most: int = 24
    contexts: tuple[float, ...] = (1.2,)
    beyond: float = 0.06
    longer: float = 0.3
    crossed: float = 0.1
    probability: float = 0.7
    filled: float = 0.15
    own: float = 0.5
    smallest: float = 0.0003


@dataclass(frozen=True)
class FoundObjects:
    """Objects of one image.

    Args:
        numbers: (H, W) int64: 0 is nothing, i the i-th object.
        names: of their classes, in that order.
    """

    numbers: Int[Tensor, "h w"]
    names: tuple[str, ...]


@torch.no_grad()
def find_people(
    detector: Detector,
    selfie: SelfieModel,
    image: Float[Tensor, "3 h w"],
    config: PeopleConfig | None = None,
) -> FoundObjects:
    """The people in an image.

    Args:
        detector: proposes boxes.
        selfie: says which of their pixels are a person's.
        image: (3, H, W), float, RGB, in [0, 255]; any height and width.
        config: what counts.

    Returns:
        Their pixels, on the image's device, the surest first.
    """
    config = config or PeopleConfig()
    height, width = image.shape[-2:]
    numbers = torch.zeros(height, width, dtype=torch.int64)
    found = detector.detect(image, config.score, config.overlap, (PERSON,))
    boxes = found.boxes[: config.most].cpu() * torch.tensor([width, height, width, height])
    count = 0
    for box in boxes:
        box, window, mask = _person(selfie, image, box, config)
        left, top, right, bottom = window
        part = numbers[top:bottom, left:right]
        free = mask & (part == 0)
        area, size = int(mask.sum()), float((box[2:] - box[:2]).prod())
        if area < config.filled * size or int(free.sum()) < max(
            config.own * area, config.smallest * height * width
        ):
            continue
        count += 1
        part[free] = count
    return FoundObjects(numbers.to(image.device), ("person",) * count)


def _person(
    selfie: SelfieModel,
    image: Float[Tensor, "3 h w"],
    box: Float[Tensor, " 4"],
    config: PeopleConfig,
) -> tuple[Float[Tensor, " 4"], Rect, Bool[Tensor, "h2 w2"]]:
    """A person's box, the window around it, and their pixels in that window.

    Boxes often end at the knees. Where the person goes on across the window's upper or lower edge,
    the box is made longer there and looked at once more.
    """
    height, width = image.shape[-2:]
    for last in (False, True):
        window = _grown(box, config.beyond, width, height)
        mask = _probability(selfie, image, box, config.contexts, window) > config.probability
        size = float(box[3] - box[1])
        above = config.longer * size if window[1] > 0 and _crossed(mask[0], config) else 0.0
        below = config.longer * size if window[3] < height and _crossed(mask[-1], config) else 0.0
        if last or not (above or below):
            break
        box = box + torch.tensor([0.0, -above, 0.0, below])
        box[1::2] = box[1::2].clamp(0, height)
    return box, window, mask


def _crossed(edge: Bool[Tensor, " w2"], config: PeopleConfig) -> bool:
    """Whether a person goes on beyond an edge of their window."""
    return bool(edge.float().mean() > config.crossed)


def _probability(
    selfie: SelfieModel,
    image: Float[Tensor, "3 h w"],
    box: Float[Tensor, " 4"],
    contexts: Sequence[float],
    window: Rect,
) -> Float[Tensor, "h2 w2"]:
    """Mean probability of "person" inside a window, from squares of several sizes around a box."""
    height, width = image.shape[-2:]
    squares = [_square(box, context, width, height) for context in contexts]
    total = torch.zeros(window[3] - window[1], window[2] - window[0])
    for square, answer in zip(squares, selfie.people(image, squares), strict=True):
        left, top, right, bottom = square
        full = _resized(answer, bottom - top, right - left)
        total += full[window[1] - top : window[3] - top, window[0] - left : window[2] - left]
    return total / len(squares)


def _resized(values: Float[Tensor, "g g"], height: int, width: int) -> Float[Tensor, "h w"]:
    size = (height, width)
    return F.interpolate(values[None, None], size, mode="bilinear", antialias=True)[0, 0].cpu()


def _square(box: Float[Tensor, " 4"], context: float, width: int, height: int) -> Rect:
    """A square around a box, cut off at the image's border."""
    left, top, right, bottom = box.tolist()
    half = max(right - left, bottom - top) * context / 2
    across, down = (left + right) / 2, (top + bottom) / 2
    return (
        max(0, int(across - half)), max(0, int(down - half)),
        min(width, int(across + half) + 1), min(height, int(down + half) + 1),
    )  # fmt: skip


def _grown(box: Float[Tensor, " 4"], share: float, width: int, height: int) -> Rect:
    """A box that is larger by a share of its sides on each, in whole pixels of the image."""
    left, top, right, bottom = box.tolist()
    across, down = share * (right - left), share * (bottom - top)
    return (
        max(0, int(left - across)), max(0, int(top - down)),
        min(width, int(right + across) + 1), min(height, int(bottom + down) + 1),
    )  # fmt: skip
