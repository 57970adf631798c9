"""Training corpora: folders with ``im/`` and ``gt/``, as HQSeg-44K lays them out.

A ground truth is a binary mask, soft edges allowed, or a map of ids. Ids are regions: a sample is
a random union of them. 0 is background where a map has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.formats import IMAGE_SUFFIXES, MASK_SUFFIXES
from unseg.images.reader import read_rgb
from unseg.masks.labels import read_label_map
from unseg.masks.pairing import pair

LAYOUT = "im/*.jpg and gt/*.png with the same stems"

#: Unions smaller or larger than these shares of the image are drawn again.
SHARE_RANGE = (0.01, 0.85)


@dataclass(frozen=True)
class CorpusEntry:
    """One image of a corpus and its ground truth."""

    image: Path
    truth: Path


def scan(folders: Sequence[Path]) -> list[CorpusEntry]:
    """Find the pairs of several corpora, sorted by path.

    Raises:
        UnsegError: for a missing folder, an image without ground truth, or nothing at all.
    """
    entries = []
    for folder in folders:
        for part in ("im", "gt"):
            if not (folder / part).is_dir():
                raise UnsegError(f"{folder} has no {part}/ folder: a corpus holds {LAYOUT}")
        images = sorted(
            path
            for path in (folder / "im").iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        )
        truths = pair(images, folder / "gt", LAYOUT, (*MASK_SUFFIXES, ".webp"))
        entries += [CorpusEntry(*both) for both in zip(images, truths, strict=True)]
    if len(entries) < 2:
        raise UnsegError(
            f"found {len(entries)} images in {', '.join(map(str, folders))}: training needs two "
            "or more, one for validation"
        )
    return entries


def split(
    entries: Sequence[CorpusEntry], share: float, seed: int
) -> tuple[list[CorpusEntry], list[CorpusEntry]]:
    """Part training from validation by file name.

    The order depends on a hash of seed, corpus and name only, so adding files moves few others,
    and a run is only continued on the files that it began with.

    Args:
        entries: from :func:`scan`.
        share: share of the files for validation; at least one file goes to each part.
        seed: the run's seed.
    """

    def key(entry: CorpusEntry) -> str:
        name = f"{seed}/{entry.image.parents[1].name}/{entry.image.name}"
        return hashlib.sha256(name.encode()).hexdigest()

    count = min(max(1, round(len(entries) * share)), len(entries) - 1)
    held = set(sorted(entries, key=key)[:count])
    return [e for e in entries if e not in held], [e for e in entries if e in held]


@dataclass(frozen=True)
class Picture:
    """An image and its region map at the training resolution.

    Args:
        image: (3, h, w) uint8.
        regions: (h, w) int32; 0 is background where a map has it.
        ids: the ids that may be foreground.
    """

    image: Tensor
    regions: Tensor
    ids: tuple[int, ...]


def load(entry: CorpusEntry, long_side: int) -> Picture:
    """Read a pair and shrink it so that the long side is at most ``long_side``.

    Raises:
        UnsegError: for a file that cannot be read or sizes that differ.
    """
    image = Image.fromarray(read_rgb(entry.image))
    labels = read_label_map(entry.truth)
    if image.size != labels.size:
        width, height = labels.size
        raise UnsegError(
            f"{entry.truth} is {width}x{height} but {entry.image} is "
            f"{image.width}x{image.height}: a ground truth must have its image's size"
        )
    factor = min(1.0, long_side / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    pixels = np.array(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=None))
    truth = Image.fromarray(labels.values.astype(np.int32))
    regions = np.array(truth.resize(size, Image.Resampling.NEAREST))
    ids = tuple(int(i) for i in np.unique(regions) if i != 0)
    return Picture(torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(regions), ids)


def files_sha256(entries: Sequence[CorpusEntry]) -> str:
    """Hex sha256 over the corpora's, files' names and sizes: whether a corpus is the same still."""
    digest = hashlib.sha256()
    for entry in entries:
        for path in (entry.image, entry.truth):
            name = "/".join(path.parts[-3:])
            digest.update(f"{name}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def draw_mask(picture: Picture, rng: torch.Generator) -> Tensor:
    """A random object: one region, a union of some, or all that is not background.

    Args:
        picture: from :func:`load`.
        rng: CPU generator.

    Returns:
        (1, h, w) float in {0, 1}. A picture without regions gives all ones.
    """
    ids = torch.tensor(picture.ids)
    mask = torch.ones_like(picture.regions, dtype=torch.bool)
    if not len(ids):
        return mask[None].float()
    for _ in range(8):
        kind = float(torch.rand((), generator=rng))
        if kind < 0.3:
            chosen = ids[torch.randint(len(ids), (1,), generator=rng)]
        elif kind < 0.6 and 0 in picture.regions:
            chosen = ids
        else:
            keep = torch.rand(len(ids), generator=rng) < float(torch.rand((), generator=rng))
            chosen = ids[keep]
        mask = torch.isin(picture.regions, chosen)
        if SHARE_RANGE[0] <= float(mask.float().mean()) <= SHARE_RANGE[1]:
            break
    if not mask.any():
        mask = torch.isin(picture.regions, ids)
    return mask[None].float()


def fixed_mask(picture: Picture) -> Tensor:
    """The same object every time, for validation: all that is not background, or the largest id.

    Returns:
        (1, h, w) float in {0, 1}.
    """
    if not picture.ids:
        return torch.ones_like(picture.regions)[None].float()
    mask = picture.regions > 0
    if bool(mask.all()):
        mask = picture.regions == picture.regions.flatten().mode().values
    return mask[None].float()
