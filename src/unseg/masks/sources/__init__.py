"""Mask sources: where a foreground comes from. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from unseg.masks.sources.base import Found, MaskSource
from unseg.models.loaded import Models
from unseg.registry import Registry

SOURCES: Registry[MaskSource] = Registry(
    "mask source",
    MaskSource,
    {
        "file": "unseg.masks.sources.file:MaskFiles",
        "given": "unseg.masks.sources.given:GivenMask",
        "boxes": "unseg.masks.sources.boxes:BoxMasks",
        "clicked": "unseg.masks.sources.clicked:ClickedMask",
        "people": "unseg.masks.sources.found:PeopleMask",
        "objects": "unseg.masks.sources.found:ObjectMask",
        "all": "unseg.masks.sources.found:AllMask",
        "salient": "unseg.masks.sources.salient:SalientMask",
        "proposed": "unseg.masks.sources.proposed:ProposedMask",
        "whole-image": "unseg.masks.sources.whole:WholeImage",
    },
)
"""Every source by its name. The first four are the owner's word; ``--find`` names the others."""

DEFAULT_FIND = ("salient", "proposed", "whole-image")
"""What finds the foreground where the owner gave none, in this order."""


def load_sources(names: Iterable[str], models: Models) -> list[MaskSource]:
    """The sources that ``--find`` names, in its order; those that these models lack are left out.

    Args:
        names: known names, or ``module:Name`` of one's own.
        models: of the run.

    Raises:
        UnsegError: when a name is unknown.
    """
    found = (SOURCES.load(name).load(models) for name in names)
    return [source for source in found if source is not None]


__all__ = ["DEFAULT_FIND", "SOURCES", "Found", "MaskSource", "load_sources"]
