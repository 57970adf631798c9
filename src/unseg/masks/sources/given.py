"""A mask in memory: what a caller hands over with the image."""

from __future__ import annotations

from dataclasses import replace

from unseg.images.photo import Photo
from unseg.masks.colourcodes import colours_of
from unseg.masks.labelmap import LabelMap
from unseg.masks.regions import LabelRules
from unseg.masks.sources.base import Found, MaskSource


class GivenMask(MaskSource):
    """The labels of one image.

    Args:
        labels: of the image's size.
        colours: of the colour maps of all images that are protected together; the map's own if
            None.
    """

    name = "given"
    summary = "a mask passed in Python"
    nothing = "no mask was given"
    given = True

    def __init__(self, labels: LabelMap, colours: tuple[int, ...] | None = None) -> None:
        self.labels = labels
        self.colours = colours_of([labels]) if colours is None else colours

    def find(self, photo: Photo, name: str) -> Found | None:
        return Found(self.labels)

    def rules(self, rules: LabelRules) -> LabelRules:
        return replace(rules, colours=self.colours or None)
