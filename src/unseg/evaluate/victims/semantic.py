"""Victims that give every pixel a class: one network, nothing else to write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.problem import Kind, Prediction, Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.loader import Augmentation, CropLoader, normalise, shrink
from unseg.evaluate.victims.training import TrainedVictim

DEFAULT_AUGMENTATION = Augmentation()
SMOOTH = 1e-5
"""Keeps the Dice loss of a batch without foreground finite."""
TOGETHER = 8
"""Most photographs of one size that a GPU is asked about at once."""


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """The inverse root of the share that every class has of a batch; 0 for those it lacks.

    Half way between none and the full inverse frequencies of Eigen and Fergus (ICCV 2015).

    Args:
        targets: (B, S, S) int64 class indices; 255 is void.
        classes: how many there are.

    Returns:
        (classes,) float.

    Example:
        >>> class_weights(torch.tensor([[[0, 0, 0, 0, 1, 255]]]), 3).pow(2)
        tensor([1.2500, 5.0000, 0.0000])
    """
    counts = class_counts(targets, classes)
    return torch.where(counts > 0, counts.sum() / counts.clamp(min=1), 0.0).sqrt()


def class_counts(targets: Tensor, classes: int) -> Tensor:
    """(classes,) float: pixels of each; unlike ``bincount`` it does not wait for a GPU."""
    return torch.stack([(targets == label).sum() for label in range(classes)]).float()


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """One less the Dice coefficient of a whole batch (Milletari et al., *V-Net*, 2016).

    Args:
        logits: (B, 1, S, S) float.
        targets: (B, 1, S, S) float in [0, 1].

    Example:
        >>> dice_loss(torch.tensor([[[[50.0, -50.0]]]]), torch.tensor([[[[1.0, 1.0]]]]))
        tensor(0.3333)
    """
    found = logits.sigmoid()
    both, all_ = (found * targets).sum(), found.sum() + targets.sum()
    return 1 - (2 * both + SMOOTH) / (all_ + SMOOTH)


class SemanticVictim(TrainedVictim):
    """Crops in, class logits out. Hook: :meth:`build`.

    ``build(problem)`` returns a module from (B, 3, S, S) normalised images to (B, C, s, s) logits
    at any scale, with C one for a binary problem and else the number of classes; a
    transformers output with ``.logits`` is fine, too.

    Args:
        size: short side of the work size, in pixels.
        crop: side of a training crop, in pixels; a multiple of the stride.
        steps: optimiser steps.
        batch_size: crops a step.
        learning_rate: peak learning rate.
        weight_decay: weight decay of AdamW.
        mirror: average the prediction with that of the mirrored image.
        augmentation: how training crops are drawn.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({"semantic"})
    revision = 2
    queued: ClassVar[bool] = True
    stride: ClassVar[int] = 32
    """What input sides must be a multiple of."""

    def __init__(
        self,
        *,
        size: int = 192,
        crop: int = 128,
        steps: int = 800,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        mirror: bool = True,
        augmentation: Augmentation = DEFAULT_AUGMENTATION,
    ) -> None:
        if crop < 32 or crop % self.stride:
            raise UnsegError(
                f"{self.name}'s crop is {crop}: give a multiple of {self.stride}, at least 32"
            )
        if size < 32:
            raise UnsegError(f"{self.name}'s size is {size}: give at least 32")
        if steps < 1:
            raise UnsegError(f"{self.name}'s steps are {steps}: give at least 1")
        self.size, self.crop, self.steps, self.batch_size = size, crop, steps, batch_size
        self.learning_rate, self.weight_decay, self.mirror = learning_rate, weight_decay, mirror
        self.augmentation = augmentation

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "augmentation": self.augmentation.settings()}

    @staticmethod
    def num_classes(problem: Problem) -> int:
        """Channels that the network's logits need."""
        return 1 if problem.binary else len(problem.classes)

    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        return CropLoader(
            samples, size=self.size, crop=self.crop, batch_size=self.batch_size,
            augmentation=self.augmentation, binary=problem.binary, rng=rng, device=self.place,
        ).draw  # fmt: skip

    def loss(self, network: nn.Module, batch: Any, training: Training, step: int) -> Tensor:
        images, targets = batch
        if type(training.defence).batch is not Defence.batch:
            # Defences work on the CPU, with the generator that draws for them.
            rng = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
            images, targets = training.defence.batch(images.cpu(), targets.cpu(), rng)
        device = self.device(network)
        images, targets = images.to(device), targets.to(device)

        def of(some: Tensor) -> Tensor:
            return self.criterion(self._logits(network, normalise(some)), targets)

        return of(training.defence.attack(images, of))

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross entropy + dice for one foreground, else weighted cross entropy.

        Void does not count, and rare classes count more (:func:`class_weights`): without that a
        short training never predicts them.

        Args:
            logits: (B, C, s, s).
            targets: (B, 1, S, S) float in [0, 1], or (B, S, S) int64.
        """
        side = targets.shape[-2:]
        logits = logits.float()
        if logits.shape[-2:] != side:
            logits = F.interpolate(logits, side, mode="bilinear", align_corners=False)
        if targets.is_floating_point():
            entropy = F.binary_cross_entropy_with_logits(logits, targets)
            return entropy + dice_loss(logits, targets)
        weights = class_weights(targets, logits.shape[1])
        total = F.cross_entropy(logits, targets, weights, ignore_index=VOID, reduction="sum")
        # The usual weighted mean, and 0 instead of NaN for a batch that is all void.
        return total / (weights * class_counts(targets, len(weights))).sum().clamp(min=1.0)

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        return self._answers([image])[0]

    def answers(self, samples: Iterable[Sample]) -> Iterator[tuple[Prediction, Sample]]:
        most = 1 if self.device(self.network).type == "cpu" else TOGETHER
        # Neighbours of one size are asked about together.
        for _, alike in groupby(samples, lambda sample: sample.image.shape):
            while some := list(islice(alike, most)):
                yield from zip(self._answers([one.image for one in some]), some, strict=True)

    @torch.no_grad()
    def _answers(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Of photographs of one size."""
        network = self.network
        pixels = np.stack([shrink(image, self.size) for image in images])
        small = torch.from_numpy(pixels).to(self.device(network)).permute(0, 3, 1, 2) / 255
        height, width = small.shape[-2:]
        pad = (0, -width % self.stride, 0, -height % self.stride)
        padded = F.pad(small, pad, mode="replicate")
        logits = self._logits(network, normalise(padded))
        if self.mirror:
            logits = (logits + self._logits(network, normalise(padded.flip(-1))).flip(-1)) / 2
        if logits.shape[-2:] != padded.shape[-2:]:
            logits = F.interpolate(logits, padded.shape[-2:], mode="bilinear", align_corners=False)
        logits = logits[..., :height, :width]
        full = F.interpolate(logits, images[0].shape[:2], mode="bilinear", align_corners=False)
        found = full[:, 0] > 0 if self._problem.binary else full.argmax(dim=1)
        return list(found.long().cpu())

    @staticmethod
    def _logits(network: nn.Module, images: Tensor) -> Tensor:
        # Channels last is what CPU convolutions are quickest with.
        found = network(images.contiguous(memory_format=torch.channels_last))
        return found if isinstance(found, Tensor) else found.logits
