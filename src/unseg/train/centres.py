"""What the entries of a codebook stand for where the owner has no classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unseg.models.geometry import Frame
from unseg.train.cache import FeatureCache
from unseg.train.corpus import CorpusEntry, load

IMAGES = 256
"""Most images that are looked at, evenly spaced."""
CELLS = 64
"""Cells drawn from each."""


def fit_centres(
    entries: Sequence[CorpusEntry], cache: FeatureCache, count: int, size: int, seed: int
) -> Tensor:
    """Centres of the frozen encoder's embeddings over a corpus, by k-means.

    Args:
        entries: of the training part.
        cache: frozen features.
        count: how many centres.
        size: long side at which pictures are read, in pixels.
        seed: of cells and of the start.

    Returns:
        (count, C) float.
    """
    from scipy.cluster.vq import kmeans2

    rng = np.random.default_rng(seed)
    cells = []
    for entry in entries[:: -(-len(entries) // IMAGES)]:
        picture = load(entry, size)
        embedding = cache.features(picture.image).embedding[0].float()
        # A letterbox is padded right and below: what lies there is no image.
        scaled = Frame(picture.image.shape[1], picture.image.shape[2], size).scaled
        height, width = (max(1, side * embedding.shape[1] // size) for side in scaled)
        seen = embedding[:, :height, :width].flatten(1).T.numpy()
        cells.append(seen[rng.integers(len(seen), size=CELLS)])
    centres, _ = kmeans2(np.concatenate(cells).astype(np.float64), count, minit="++", rng=rng)
    return torch.from_numpy(centres).float()
