"""A single-shot detector on MobileNetV2 (Liu et al., 2016; Sandler et al., 2018).

Its weights are those of MediaPipe Objectron's first stage, which learned two dozen classes of Open
Images; MediaPipe uses four of them. The layers stand in the order of the published graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unseg.models.finder.convolution import Convolution

#: What a score at each place stands for; the first is background.
NAMES = (
    "nothing", "bicycle", "boot", "laptop", "person", "chair", "cow", "desk", "cat",
    "computer mouse", "monitor", "box", "mug", "coffee cup", "exercise bike", "table", "bottle",
    "high heel", "vehicle", "shoe", "dog", "book", "camera", "car",
)  # fmt: skip
PERSON = NAMES.index("person")
#: Side of the input, in pixels, and of the grids on which boxes are proposed.
INPUT, GRIDS = 300, (19, 10, 5, 3, 2, 1)
#: Shares of the image that boxes are proposed at, from the finest grid to the coarsest.
SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
#: How many classes there are, the background included.
CLASSES = len(NAMES)
#: (expansion, channels, repeats, stride) of the inverted residuals.
_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
#: (channels between, channels out) of the layers behind the backbone, each on half the grid.
_COARSER = ((256, 512), (128, 256), (128, 256), (64, 128))


@dataclass(frozen=True)
class Detections:
    """What was detected in one image.

    Args:
        boxes: (n, 4) left, top, right and bottom, in shares of the image's sides.
        scores: (n,) in [0, 1], the largest first.
        classes: (n,) places in :data:`NAMES`.
    """

    boxes: Float[Tensor, "n 4"]
    scores: Float[Tensor, " n"]
    classes: Int[Tensor, " n"]


class Bottleneck(nn.Module):
    """An inverted residual: wider, filtered, narrow again."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.widen = Convolution(inputs, inner, activation=F.relu6) if expansion > 1 else None
        self.filter = Convolution(inner, inner, 3, stride, depthwise=True, activation=F.relu6)
        self.narrow = Convolution(inner, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Features."""
        return self.rest(x, self.wide(x))

    def wide(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b e h w"]:
        """The features at their widest."""
        return x if self.widen is None else self.widen(x)

    def rest(
        self, x: Float[Tensor, "b i h w"], wide: Float[Tensor, "b e h w"]
    ) -> Float[Tensor, "b o h2 w2"]:
        """What follows the widening, whose result is read elsewhere, too."""
        result = self.narrow(self.filter(wide))
        return x + result if self.adds else result


class Head(nn.Module):
    """Boxes and scores at every place of one grid."""

    def __init__(self, inputs: int, anchors: int) -> None:
        super().__init__()
        self.boxes = Convolution(inputs, 4 * anchors)
        self.scores = Convolution(inputs, CLASSES * anchors)

    def forward(
        self, x: Float[Tensor, "b i h w"]
    ) -> tuple[Float[Tensor, "b n 4"], Float[Tensor, "b n c"]]:
        """Offsets and logits of h * w * anchors boxes, row by row."""
        boxes, scores = (part(x).permute(0, 2, 3, 1) for part in (self.boxes, self.scores))
        return boxes.reshape(len(x), -1, 4), scores.reshape(len(x), -1, CLASSES)


class Detector(nn.Module):
    """Boxes of people, bicycles, cars, cats, dogs, chairs and what else :data:`NAMES` lists."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2, activation=F.relu6)
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, outputs, repeats, stride in _STAGES:
            for number in range(repeats):
                blocks.append(Bottleneck(inputs, outputs, expansion, stride if not number else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = Convolution(320, 1280, activation=F.relu6)
        self.coarser = nn.ModuleList()
        inputs = 1280
        for between, outputs in _COARSER:
            narrow = Convolution(inputs, between, activation=F.relu6)
            self.coarser.append(
                nn.Sequential(narrow, Convolution(between, outputs, 3, 2, activation=F.relu6))
            )
            inputs = outputs
        widths = (576, 1280, *(outputs for _, outputs in _COARSER))
        self.heads = nn.ModuleList(Head(n, 6 if i else 3) for i, n in enumerate(widths))

    def forward(
        self, pixels: Float[Tensor, "b 3 300 300"]
    ) -> tuple[Float[Tensor, "b n 4"], Float[Tensor, "b n c"]]:
        """Offsets from the proposed boxes, and logits of the classes.

        Args:
            pixels: (B, 3, 300, 300), float, RGB, in [-1, 1].
        """
        x = self.stem(pixels)
        found: list[tuple[Tensor, Tensor]] = []
        for block in self.blocks:
            assert isinstance(block, Bottleneck)
            if not found and block.filter.stride == (2, 2) and x.shape[-1] == GRIDS[0]:
                # The finest grid is read where the features of stride 16 are widest.
                wide = block.wide(x)
                found.append(self.heads[0](wide))
                x = block.rest(x, wide)
            else:
                x = block(x)
        x = self.last(x)
        found.append(self.heads[1](x))
        for layers, head in zip(self.coarser, self.heads[2:], strict=True):
            x = layers(x)
            found.append(head(x))
        boxes, scores = zip(*found, strict=True)
        return torch.cat(boxes, 1), torch.cat(scores, 1)

    @torch.no_grad()
    def detect(
        self,
        image: Float[Tensor, "3 h w"],
        least: float,
        overlap: float = 0.5,
        classes: Sequence[int] = tuple(range(1, CLASSES)),
    ) -> Detections:
        """The objects of an image.

        Args:
            image: (3, H, W), float, RGB, in [0, 255].
            least: smallest score.
            overlap: of boxes of one class whose IoU is larger, the surest is kept.
            classes: that are looked for, places in :data:`NAMES`. Each is judged by itself, so a
                box may be of two.
        """
        size = (INPUT, INPUT)
        small = image[None].to(self.stem.weight.device)
        small = F.interpolate(small, size, mode="bilinear", antialias=True)
        offsets, logits = (part[0] for part in self(small / 127.5 - 1))
        boxes, scores = decode(offsets), logits.sigmoid()[:, list(classes)]
        places, columns = (scores >= least).nonzero(as_tuple=True)
        order = scores[places, columns].argsort(descending=True)
        places, columns = places[order], columns[order]
        kept = suppressed(boxes[places], columns, overlap)
        places, columns = places[kept], columns[kept]
        named = torch.tensor(classes, device=columns.device)[columns]
        return Detections(boxes[places].clamp(0, 1), scores[places, columns], named)


@lru_cache(maxsize=1)
def anchors() -> Float[Tensor, "n 4"]:
    """(n, 4): centre x and y, width and height of the proposed boxes, in shares of the image."""
    boxes: list[tuple[float, ...]] = []
    for number, side in enumerate(GRIDS):
        scale, following = SCALES[number : number + 2]
        shapes = [(ratio, scale) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
        shapes.append((1.0, (scale * following) ** 0.5))
        if number == 0:
            shapes = [(1.0, 0.1), (2.0, scale), (0.5, scale)]
        for row in range(side):
            for column in range(side):
                centre = (column + 0.5) / side, (row + 0.5) / side
                boxes += [(*centre, size * r**0.5, size / r**0.5) for r, size in shapes]
    return torch.tensor(boxes)


def decode(offsets: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Boxes (left, top, right, bottom) in shares of the image, from a head's offsets."""
    proposed = anchors().to(offsets.device)
    y, x, height, width = offsets.unbind(1)
    centre = torch.stack([x, y], 1) / 10 * proposed[:, 2:] + proposed[:, :2]
    half = torch.stack([width, height], 1).div(5).exp() * proposed[:, 2:] / 2
    return torch.cat([centre - half, centre + half], 1)


def suppressed(
    boxes: Float[Tensor, "n 4"], classes: Int[Tensor, " n"], overlap: float
) -> list[int]:
    """Places of the boxes that no earlier one of their class covers (greedy suppression)."""
    shared = box_iou(boxes) > overlap
    alike = (classes[:, None] == classes[None]) & shared
    kept: list[int] = []
    for index in range(len(boxes)):
        if not kept or not bool(alike[index, kept].any()):
            kept.append(index)
    return kept


def box_iou(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n n"]:
    """IoU of each box with each."""
    corner = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    other = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (other - corner).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (area[:, None] + area[None] - shared).clamp(min=1e-9)
