"""One image, asked again and again: what the base SAM finds at points and in boxes.

The encoder runs once, when the image is opened; each question costs the mask decoder alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseg.models.geometry import letterbox, unletterbox
from unseg.models.sam.base import SamBase

#: What the predicted IoU of a mask may be below the surest one's: on the photograph of two people
#: that this was looked at with, shirts and whole people were 0 to 0.03 apart.
_NEARLY = 0.05

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class AskedImage:
    """An image whose embedding is kept, for any number of questions.

    Args:
        base: a SAM with trained weights, at the resolution it is used at.
        image: (3, H, W), float, RGB, in [0, 255].
    """

    @torch.no_grad()
    def __init__(self, base: SamBase, image: Float[Tensor, "3 h w"]) -> None:
        self._base = base
        self._device = next(base.parameters()).device
        pixels, self._frame = letterbox(image[None].to(self._device), base.image_size)
        self._features = base.encode(pixels)

    @torch.no_grad()
    def logits(
        self, on: Sequence[Point] = (), off: Sequence[Point] = (), box: Box | None = None
    ) -> Float[Tensor, "h w"]:
        """The object that all prompts together mean.

        A single point may mean a part or the whole, so three masks are asked for. Of those that
        hold the point, the largest is taken that the model is nearly as sure of as of the surest:
        people mean the object, not its shirt. More prompts settle that.

        Args:
            on: points on the object, x and y in the image's pixels.
            off: points that are not on it.
            box: left, top, right, bottom around it; nothing is found outside.

        Returns:
            (H, W) float on the CPU: above 0 is the object. Outside the box it is minus infinity.

        Raises:
            ValueError: when neither a point on the object nor a box is given.
        """
        if not on and box is None:
            raise ValueError("there is neither a point on the object nor a box: give one of them")
        scale = self._frame.scale
        points = labels = boxes = None
        if on or off:
            points = torch.tensor([*on, *off], dtype=torch.float32, device=self._device) * scale
            kinds = [1] * len(on) + [0] * len(off)
            labels = torch.tensor(kinds, device=self._device)[None, None]
            points = points[None, None]
        if box is not None:
            boxes = torch.tensor(box, dtype=torch.float32, device=self._device)[None, None] * scale
        alone = box is None and len(on) + len(off) == 1
        found, iou = self._base.predict_masks(
            self._features, points, labels, boxes, multimask=alone
        )
        masks = unletterbox(found[0], self._frame)[0].cpu()
        logits = masks[_whole(masks, iou[0, 0].cpu(), on[0])] if alone else masks[0]
        return logits if box is None else _within(logits, box)


def _whole(masks: Float[Tensor, "m h w"], iou: Float[Tensor, " m"], point: Point) -> int:
    """Number of the largest mask among those that hold a point and are nearly the surest.

    Args:
        masks: logits.
        iou: predicted of each.
        point: x and y in the masks' pixels.
    """
    there = masks[:, int(point[1]), int(point[0])] > 0
    if not there.any():
        return int(iou.argmax())
    near = there & (iou >= iou[there].max() - _NEARLY)
    area = (masks > 0).sum((1, 2))
    return int(torch.where(near, area, -1).argmax())


def _within(logits: Float[Tensor, "h w"], box: Box) -> Float[Tensor, "h w"]:
    """The logits, minus infinity outside a box."""
    inside: Bool[Tensor, "h w"] = torch.zeros_like(logits, dtype=torch.bool)
    left, top = (int(value) for value in box[:2])
    right, bottom = (-int(-value // 1) for value in box[2:])
    inside[top:bottom, left:right] = True
    return torch.where(inside, logits, -torch.inf)
