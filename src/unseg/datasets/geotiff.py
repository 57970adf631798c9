"""GeoTIFF tiles and their masks, in two folders with equal stems."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from unseg.datasets.pairs import Pairs
from unseg.images.formats import FORMATS
from unseg.images.tiff import GEO, read_directories

#: Tiles that are looked into; the tags may lie at the end of a file.
_LOOKED = 3


class GeoTiff(Pairs):
    """As :class:`Pairs`, but the files say where on earth they lie, and stay what they are."""

    name = "geotiff"
    summary = "images/ of GeoTIFF tiles and masks/ or labels/ with equal stems"
    keeps_kind = True

    def series(self, image: str) -> str | None:
        return ""  # neighbours would differ along their common edge else

    @classmethod
    def detect(cls, root: Path) -> int:
        found = cls(root)
        suffixes = FORMATS["TIFF"].suffixes
        for images, _ in found.folders:
            tiles = (one for one in found.images_below(images) if one.lower().endswith(suffixes))
            if any(_georeferenced(root / one) for one in islice(tiles, _LOOKED)):
                return 2  # surer than pairs
        return 0


def _georeferenced(path: Path) -> bool:
    try:
        pages = read_directories(path.read_bytes())
    except OSError:
        return False
    return bool(pages) and not GEO.isdisjoint(pages[0])
