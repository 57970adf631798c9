"""What looks like an object: the base SAM's own proposals at a grid of points."""

from __future__ import annotations

from typing import Self

import numpy as np

from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.labelmap import LabelMap
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.loaded import Models
from unseg.models.propose import propose_foreground
from unseg.models.sam.base import SamBase


class ProposedMask(MaskSource):
    """Proposals (:mod:`unseg.models.propose`).

    Args:
        base: the SAM that is asked.
    """

    name = "proposed"
    summary = "what looks like an object, proposed by the base SAM"
    nothing = "nothing was proposed"

    def __init__(self, base: SamBase) -> None:
        self.base = base

    @classmethod
    def load(cls, models: Models) -> Self | None:
        return cls(models.base)

    def find(self, photo: Photo, name: str) -> Found | None:
        found = propose_foreground(self.base, model_image(photo))
        if not found.count:
            return None
        return Found(LabelMap(at_photo_size(found.mask.cpu().numpy().view(np.uint8), photo)))
