"""Boxes that the owner gives: the base SAM draws the outlines inside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.boxes import Boxes
from unseg.masks.labelmap import LabelMap
from unseg.masks.pairing import key_of, nfc
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.propose import masks_of_boxes
from unseg.models.sam.base import SamBase


class BoxMasks(MaskSource):
    """Outlines drawn from boxes (``--boxes``).

    Args:
        boxes: by the images' names without suffix.
        base: the SAM that is asked.
        target: ``class`` labels a pixel with its box's class, ``instance`` and ``union`` with its
            box's number, both from 1 on; 0 is background.
        sha256: checksum of the file or folder of boxes, for records.
    """

    name = "boxes"
    summary = "what the base SAM finds in the boxes given with --boxes"
    nothing = "no box for this image"
    given = True

    def __init__(
        self, boxes: Mapping[str, Boxes], base: SamBase, target: Target = "union", sha256: str = ""
    ) -> None:
        self.boxes, self.base, self.target, self.sha256 = boxes, base, target, sha256
        self._by_key = {nfc(name): one for name, one in boxes.items()}

    @property
    def highest(self) -> int:
        """The largest class label."""
        return max(int(one.labels.max()) for one in self.boxes.values())

    def boxes_of(self, name: str) -> Boxes | None:
        """The boxes of an image, by its place in the tree or by its stem; or None."""
        key = key_of(name)
        return self._by_key.get(key, self._by_key.get(key.rpartition("/")[2]))

    def find(self, photo: Photo, name: str) -> Found | None:
        boxes = self.boxes_of(name)
        if boxes is None:
            return None
        numbers = draw_boxes(photo, boxes, self.base)
        if self.target != "class":
            return Found(LabelMap(numbers, wide=True))
        labels = np.concatenate([[0], boxes.labels])[numbers].astype(np.int32)
        return Found(LabelMap(labels, wide=True))

    def rules(self, rules: LabelRules) -> LabelRules:
        return LabelRules(target=rules.target, classes=rules.classes, silent=rules.silent)

    def identity(self, name: str) -> str:
        return self.sha256 if self.boxes_of(name) is not None else ""


def draw_boxes(photo: Photo, boxes: Boxes, base: SamBase) -> NDArray[np.int32]:
    """(H, W), at the photo's size: 0, or the number of the box whose object a pixel is of."""
    image = model_image(photo)
    height, width = image.shape[1:]
    scale = np.array([width / photo.size[0], height / photo.size[1]] * 2, np.float32)
    corners = torch.from_numpy(boxes.in_pixels(*photo.size) * scale)
    found = masks_of_boxes(base, image, corners)
    return at_photo_size(np.asarray(found.cpu().numpy(), np.int32), photo)
