"""A mask in memory: what a caller hands over with the image."""

from __future__ import annotations

from unseg.images.photo import Photo
from unseg.masks.labelmap import LabelMap
from unseg.masks.regions import LabelRules
from unseg.masks.sources.base import Found, MaskSource


class GivenMask(MaskSource):
    """The labels of one image.

    Args:
        labels: of the image's size.
    """

    name = "given"
    summary = "a mask handed over in Python"
    nothing = "no mask was given"
    given = True

    def __init__(self, labels: LabelMap) -> None:
        self.labels = labels

    def find(self, photo: Photo, name: str) -> Found | None:
        return Found(self.labels)

    def rules(self, rules: LabelRules) -> LabelRules:
        return rules
