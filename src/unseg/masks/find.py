"""Which part of a photograph is protected: the sources are asked in order, once, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.masks.labels import LabelMap
from unseg.masks.regions import LabelRules, Regions, regions_of, void_share
from unseg.masks.sources import MaskSource
from unseg.remarks import Remark


@dataclass(frozen=True)
class FoundRegions:
    """The regions of a photograph, and where they come from.

    Args:
        regions: foreground and regions, at the photograph's size. Without foreground there is
            nothing to protect, which only an owner's mask can say.
        source: name of the mask source that answered.
        remarks: what an owner should know of the mask.
        file: name of the mask's file, if it has one.
        file_sha256: hex checksum of that file.
    """

    regions: Regions
    source: str
    remarks: tuple[Remark, ...] = ()
    file: str | None = None
    file_sha256: str | None = None

    @property
    def note(self) -> str | None:
        """All remarks in one line, or None."""
        return "; ".join(one.text for one in self.remarks) or None


def find_regions(
    photo: Photo, sources: Sequence[MaskSource], rules: LabelRules, name: str = "the image"
) -> FoundRegions:
    """The foreground and regions of a photograph, from the first source that knows of some.

    An image without foreground: where the owner's mask has none, the image has nothing to protect
    and is left as it is (a negative image of a data set). Where a model finds none, the next
    source is asked, and the last of the usual ones takes the whole image.

    Args:
        photo: pixels as a viewer shows them.
        sources: asked in this order.
        rules: what the labels of the owner's masks mean.
        name: of the image below its input folder, by which masks are found.

    Raises:
        UnsegError: when a mask has another size than the image, or no source knows of a foreground.
    """
    remarks: list[Remark] = []
    for source in sources:
        found = source.find(photo, name)
        if found is None:
            remarks.append(Remark(source.nothing))
            continue
        _check_size(found.labels, photo, found.file or "the mask", name)
        own = source.rules(rules)
        regions = regions_of(found.labels, own)
        if not regions.foreground.any() and not source.given:
            remarks.append(Remark(source.nothing))
            continue
        if source.given:
            remarks += [*found.labels.remarks, *_remarks(found.labels, own, regions)]
        return FoundRegions(regions, source.name, tuple(remarks), found.file, found.file_sha256)
    known = "; ".join(one.text for one in remarks)
    reasons = known or "no mask was given and there is nothing to find one"
    raise UnsegError(f"{name}: {reasons}: give a mask, or let --find end with whole-image")


def _check_size(labels: LabelMap, photo: Photo, mask: str, name: str) -> None:
    if labels.size != photo.size:
        raise UnsegError(
            "{} is {}x{} but {} is {}x{}: masks must have the image's size (EXIF orientation is "
            "applied first)".format(mask, *labels.size, name, *photo.size)
        )


def _remarks(labels: LabelMap, rules: LabelRules, regions: Regions) -> list[Remark]:
    """The one check after a mask was read: what it covers, and what it leaves out."""
    remarks = []
    void = void_share(labels, rules)
    if void > max(0.5, regions.foreground.mean()):
        text = f"{void:.0%} of the mask is void and counts as background"
        remarks.append(Remark(text, warning=True))
    if not regions.foreground.any():
        remarks.append(Remark("the mask has no foreground, so there is nothing to protect"))
    return remarks
