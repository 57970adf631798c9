"""Clean photographs that a trainer has beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unseg.datasets.samples import Sample, names_of
from unseg.errors import UnsegError
from unseg.provenance import sha256_files
from unseg.train.corpus import CorpusEntry, load, scan

LONG_SIDE = 512


class CleanImages:
    """A few photographs of a corpus with their masks.

    Args:
        folder: with ``im/`` and ``gt/``.
        most: largest number of them that is used, evenly spaced by name.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        every = scan([folder])
        self.entries: list[CorpusEntry] = every[:: -(-len(every) // most)]

    @property
    def sha256(self) -> str:
        """Checksum over the names and contents of the files that are used."""
        files = [path for entry in self.entries for path in (entry.image, entry.truth)]
        return sha256_files(files)

    def refuse_the_victims_own(self, published: Sequence[Sample]) -> None:
        """A trainer who has the clean images would train on them.

        Raises:
            UnsegError: when most of the published photographs are in the folder by name.
        """
        stems = {path.stem for path in (self.folder / "im").iterdir()}
        names = names_of(published)
        shared = sum(name in stems for name in names)
        if names and shared > len(names) / 2:
            raise UnsegError(
                f"{shared} of {len(names)} training images are also in {self.folder} (by name): "
                "give a folder of other photographs with --clean-images"
            )

    def samples(self) -> list[Sample]:
        """The photographs, long side at most 512.

        ``mask`` is what is not background (everything, where a map has no background), ``labels``
        the regions.
        """
        found = []
        for entry in self.entries:
            picture = load(entry, LONG_SIDE)
            regions = picture.regions.numpy()
            mask = regions > 0
            image = picture.image.permute(1, 2, 0).contiguous().numpy()
            # 255 means void in a label map, so of more regions some share a number.
            labels = (regions % 255).astype(np.uint8)
            found.append(Sample(entry.image.stem, image, mask, labels))
        return found
