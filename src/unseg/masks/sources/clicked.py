"""What the owner points at in one image: the base SAM finds the outlines."""

from __future__ import annotations

import hashlib

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.masks.clicks import Clicks, find_clicked, text_of
from unseg.masks.labelmap import LabelMap
from unseg.masks.named import count_objects
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.sam.base import SamBase
from unseg.remarks import Remark

#: Share of the image above which a click most likely met the background.
_MUCH = 0.85


class ClickedMask(MaskSource):
    """The objects of one image at points and in boxes (``--point``, ``--not``, ``--box``).

    Args:
        clicks: the prompts.
        base: the SAM that is asked.
    """

    name = "clicked"
    summary = "what the owner points at in one image, outlined by the base SAM"
    nothing = "nothing was pointed at"
    given = True
    exact = True  # what may be wrong with a click is told here

    def __init__(self, clicks: Clicks, base: SamBase) -> None:
        self.clicks, self.base = clicks, base

    def find(self, photo: Photo, name: str) -> Found | None:
        found = find_clicked(photo, self.clicks, self.base, name)
        if not found.numbers.any():
            first = (*self.clicks.points, *self.clicks.boxes)[0]
            raise UnsegError(
                f"{name}: nothing was found at {text_of(first)}: give more points, "
                "or a --box around the object"
            )
        remarks = [
            Remark(f"no object was found at the point {text_of(at)}", warning=True)
            for at in found.missed
        ]
        remarks += [
            Remark(f"the mask still covers the point {text_of(at)}", warning=True)
            for at in found.still_on
        ]
        share = float((found.numbers > 0).mean())
        if share > _MUCH and not self.clicks.boxes:
            text = f"what was found covers {share:.0%} of the image: add --not, or a --box"
            remarks.append(Remark(text, warning=True))
        labels = LabelMap(found.numbers, wide=True, remarks=tuple(remarks))
        return Found(labels, objects=count_objects(found.numbers, found.numbers > 0))

    def identity(self, name: str) -> str:
        return hashlib.sha256(repr(self.clicks).encode()).hexdigest()
