"""What stands out: people, animals, boats, found by a trained head on the base SAM's encoder."""

from __future__ import annotations

from typing import Self

import numpy as np

from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.labelmap import LabelMap
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.loaded import Models
from unseg.models.salience import SalienceHead, salient_mask
from unseg.models.sam.base import SamBase


class SalientMask(MaskSource):
    """The salience head (:mod:`unseg.models.salience`).

    Args:
        base: the SAM whose encoder the head reads.
        head: trained on that base.
    """

    name = "salient"
    summary = "what stands out, found by the salience head"
    nothing = "nothing stands out"

    def __init__(self, base: SamBase, head: SalienceHead) -> None:
        self.base, self.head = base, head

    @classmethod
    def load(cls, models: Models) -> Self | None:
        head = models.salience_head
        return None if head is None else cls(models.base, head)

    def find(self, photo: Photo, name: str) -> Found | None:
        mask, count = salient_mask(self.base, self.head, model_image(photo))
        if not count:
            return None
        return Found(LabelMap(at_photo_size(mask.cpu().numpy().view(np.uint8), photo)))

    def identity(self, name: str) -> str:
        return self.head.sha256
