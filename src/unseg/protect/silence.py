"""Which classes stay silent where every label is a class: a simulated trainer chooses.

What carries no noise in training is what every clean image looks like to a victim. Where a class
without noise resembles one with noise (pavement and road), the victim tells them apart by the noise
alone, and on a clean image takes the one for the other. So one texture on some classes and silence
on the rest say more than a texture for each (docs/experiments/label-maps.md). Which classes depends
on what is easily told apart without noise. That is tried out here on a linear model of the frozen
encoder's embedding, which also sees whether there is noise, as a victim would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.reader import read_photo
from unseg.images.view import model_image
from unseg.masks.labels import LabelMap, read_label_map
from unseg.masks.regions import LabelRules, foreground_labels
from unseg.masks.sources.file import MaskFiles
from unseg.protect.noises import NoiseSource
from unseg.protect.noises.generator import GeneratorNoise
from unseg.protect.plan import Plan

#: Images looked at, evenly spaced, and cells of them that the simulated trainer learns from.
IMAGES, CELLS = 64, 4000
#: Long side to which label maps are reduced for that.
LABELS = 512
#: Share of the cells from which a class can be silent: of less a victim sees no silence.
LEAST = 0.02
#: Classes that are tried, the largest.
TRIED = 12
#: The simulated trainer's steps and rate, how clearly it sees noise beside the embedding, and how
#: often it is mistaken (as a standard deviation). Chosen on CamVid's validation part.
STEPS, RATE, CLARITY, DOUBT = 60, 0.01, 15.0, 0.5
SEED = 11


@runtime_checkable
class Embedder(Protocol):
    """A source of noise that can say what an image's parts look like."""

    def embed(self, image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the parts of an image look like, and what is in them.

        Args:
            image: (3, H, W), float, in [0, 255].
            labels: (n, H, W), bool, one map a label.

        Returns:
            (g, g, C) embedding and (n, g, g), the share of each cell that a label covers.
        """
        ...


@dataclass(frozen=True)
class Cells:
    """Parts of images.

    Args:
        features: (n, C + 2) float, embedding and place.
        labels: (n,) int64.
    """

    features: Tensor
    labels: Tensor


def cells_of(source: Embedder, image: Tensor, labels: NDArray[np.int32]) -> Cells:
    """Cells of one image that belong to one class.

    Args:
        source: embeds the image.
        image: (3, H, W), float, in [0, 255].
        labels: (H, W), int32; negative is void.
    """
    shrink = LABELS / max(labels.shape)
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in labels.shape)
        small = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        labels = np.asarray(small, np.int32)
    found = np.unique(labels[labels >= 0])
    if not len(found):
        return Cells(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))
    maps = torch.from_numpy(np.stack([labels == label for label in found]))
    embedding, shares = source.embed(image, maps)
    share, place = shares.max(dim=0)
    kept = share > 0.5
    side = torch.linspace(0, 1, len(embedding)).to(embedding)
    where = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1)
    features = torch.cat([embedding, where], dim=-1)[kept]
    return Cells(features.cpu(), torch.from_numpy(found.astype(np.int64))[place[kept].cpu()])


def silent_in_plan(
    plan: Plan,
    masks: MaskFiles,
    rules: LabelRules,
    source: Embedder,
    looked_at: Callable[[int, int], None],
) -> tuple[int, ...] | None:
    """Choose from the images and masks of a plan; what cannot be read is left to the run to report.

    Args:
        plan: of the run.
        masks: the owner's label maps.
        rules: what their labels mean.
        source: embeds the images.
        looked_at: called after every image with how many were seen and how many will be.

    Returns:
        As :func:`choose_silent`.
    """
    jobs = [job for job in plan.jobs if masks.path_of(job.source) and not job.refusal]
    jobs = [jobs[i] for i in spread(len(jobs))]
    pairs = []
    for number, job in enumerate(jobs, 1):
        path = masks.path_of(job.source)
        try:
            photo = read_photo(job.path, job.source)
            labels = None if path is None else read_label_map(path)
        except UnsegError:
            continue
        if labels is not None and labels.size == photo.size:
            pairs.append(cells_of_photo(source, photo, labels, rules))
        looked_at(number, len(jobs))
    return choose_silent(pairs)


def cells_of_photo(source: Embedder, photo: Photo, labels: LabelMap, rules: LabelRules) -> Cells:
    """Cells of a photograph and its label map, at the size that models see."""
    return cells_of(source, model_image(photo), foreground_labels(labels, rules))


def embedder_of(noises: Iterable[NoiseSource]) -> Embedder | None:
    """The first model among noise sources that can say what an image's parts look like."""
    models = (one.model for one in noises if isinstance(one, GeneratorNoise))
    return next((model for model in models if isinstance(model, Embedder)), None)


def spread(count: int) -> list[int]:
    """At most :data:`IMAGES` numbers below ``count``, evenly spaced."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, IMAGES)).tolist()})


def choose_silent(parts: Iterable[Cells]) -> tuple[int, ...] | None:
    """The classes that leave a simulated trainer least when they carry no noise.

    Args:
        parts: of the images, see :func:`cells_of`.

    Returns:
        Their labels, or None when there are fewer than two classes to choose from.
    """
    every = [one for one in parts if len(one.labels)]
    if not every:
        return None
    labels = torch.cat([one.labels for one in every])
    names, classes = labels.unique(return_inverse=True)
    if len(names) < 2:
        return None
    rng = torch.Generator().manual_seed(SEED)
    chosen = torch.randperm(len(labels), generator=rng)[:CELLS]
    classes = classes[chosen]
    features = turned(torch.cat([one.features for one in every])[chosen].float())
    counts = torch.bincount(classes, minlength=len(names))
    order = counts.argsort(descending=True, stable=True)[:TRIED].tolist()
    tried = [c for c in order if counts[c] >= LEAST * len(classes)]
    trainer = SimulatedTrainer(features, classes, len(names))
    left = cache(trainer.left)
    few = [pick for size in range(3) for pick in combinations(sorted(tried), size)]
    # Of all classes silent, nothing would be protected.
    best = min((pick for pick in few if len(pick) < len(names)), key=left)
    while len(best) < len(names) - 1:
        longer = [tuple(sorted({*best, c})) for c in tried if c not in best]
        better = min(longer, key=left, default=best)
        if left(better) >= left(best):
            break
        best = better
    return tuple(int(names[c]) for c in best)


class SimulatedTrainer:
    """A linear model of what a victim learns from embedding, place and the presence of noise.

    Args:
        features: (n, C) float, from :func:`turned`.
        classes: (n,) int64 below ``count``.
        count: of classes.
    """

    def __init__(self, features: Tensor, classes: Tensor, count: int) -> None:
        self.features, self.classes, self.count = features, classes, count
        shares = torch.bincount(classes, minlength=count).float() / len(classes)
        self.weights = shares.clamp(min=1e-4).rsqrt()

    def left(self, silent: tuple[int, ...]) -> float:
        """Mean IoU, 0..1, on clean images of what was learned with these classes silent."""
        carries = torch.ones(self.count)
        carries[list(silent)] = -1
        rng = torch.Generator().manual_seed(SEED)
        matrix = torch.zeros(self.features.shape[1] + 1, self.count, requires_grad=True)
        bias = torch.zeros(self.count, requires_grad=True)
        optimizer = torch.optim.Adam([matrix, bias], lr=RATE)
        for _ in range(STEPS):
            doubt = DOUBT * torch.randn(len(self.classes), generator=rng)
            logits = self._seen(carries[self.classes] + doubt) @ matrix + bias
            optimizer.zero_grad()
            F.cross_entropy(logits, self.classes, self.weights).backward()
            optimizer.step()
        with torch.no_grad():
            clean = self._seen(torch.full((len(self.classes),), -1.0)) @ matrix + bias
        hits = torch.zeros(self.count, self.count)
        hits.index_put_((self.classes, clean.argmax(dim=1)), torch.tensor(1.0), accumulate=True)
        either = hits.sum(dim=0) + hits.sum(dim=1) - hits.diag()
        return float((hits.diag() / either.clamp(min=1)).mean())

    def _seen(self, noise: Tensor) -> Tensor:
        return torch.cat([self.features, CLARITY * noise[:, None]], dim=1)


def turned(features: Tensor) -> Tensor:
    """Features of unit variance, turned to their main directions; place counts twice."""
    scaled = (features - features.mean(dim=0)) / features.std(dim=0).clamp(min=1e-6)
    looks, place = scaled[:, :-2], scaled[:, -2:]
    directions = torch.linalg.eigh((looks.T @ looks).double())[1].float()
    return torch.cat([looks @ directions, 2 * place], dim=1)
