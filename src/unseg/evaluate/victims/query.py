"""Victims that answer with queries: a set of objects, matched to the truth while they train."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.datasets.samples import Sample, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.loader import Augmentation, normalise
from unseg.evaluate.victims.objects import ObjectLoader, Objects
from unseg.evaluate.victims.training import TrainedVictim
from unseg.models.geometry import Frame, letterbox

if TYPE_CHECKING:
    from unseg.evaluate.victims.autobackbone import PyramidConfig

OBJECT_AUGMENTATION = Augmentation(smallest=0.7, largest=1.4)


class QueryVictim(TrainedVictim):
    """A transformers query model on a backbone of ours. Hooks: :meth:`build`, :meth:`labels` and
    :meth:`answer`.

    The loss is the model's own: matching and all. Photographs fit into a square, in training after
    a random scale, place and flip.

    Args:
        size: side of the square, in pixels; a multiple of 32.
        steps: optimiser steps.
        batch_size: squares a step.
        learning_rate: peak learning rate.
        slow: learning rate of the backbone relative to ``learning_rate``.
        weight_decay: weight decay of AdamW.
        backbone: ``efficientnet``, ``mobilenetv2`` or ``tinyvit``.
        pretrained: whether the backbone starts from weights that were trained elsewhere.
        queries: most objects that can be found in a photograph.
        checkpoint: local Hugging Face folder to start from instead, of the model or of a backbone.
        augmentation: how training squares are drawn.
    """

    revision = 2

    def __init__(
        self,
        *,
        size: int = 192,
        steps: int = 600,
        batch_size: int = 4,
        learning_rate: float = 5e-4,
        slow: float = 0.2,
        weight_decay: float = 1e-2,
        backbone: str = "efficientnet",
        pretrained: bool = True,
        queries: int = 30,
        checkpoint: str = "",
        augmentation: Augmentation = OBJECT_AUGMENTATION,
    ) -> None:
        # Here and below, so that to list the victims does not load transformers.
        from unseg.models.backbones import check_backbone

        if size < 64 or size % 32:
            raise UnsegError(f"{self.name}'s size is {size}: give a multiple of 32, at least 64")
        check_backbone(self.name, backbone)
        self.size, self.steps, self.batch_size, self.queries = size, steps, batch_size, queries
        self.learning_rate, self.slow, self.weight_decay = learning_rate, slow, weight_decay
        self.backbone, self.pretrained = backbone, pretrained
        self.checkpoint, self.augmentation = checkpoint, augmentation

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "augmentation": self.augmentation.settings()}

    @abstractmethod
    def labels(self, objects: list[Objects]) -> dict[str, Any]:
        """The truth of a batch as keyword arguments of the model."""

    @abstractmethod
    def answer(self, found: Any, frame: Frame) -> Prediction:
        """The model's output for one photograph, on the CPU, to an answer at its own size."""

    def pyramid(self, *strides: int) -> PyramidConfig:
        """The backbone, for a model's ``backbone_config``."""
        from unseg.evaluate.victims.autobackbone import PyramidConfig

        return PyramidConfig(
            backbone=self.backbone, pretrained=self.pretrained, strides=list(strides)
        )

    def parameters(self, network: nn.Module) -> list[dict[str, Any]]:
        from transformers.backbone_utils import BackboneMixin

        bodies = [m for m in network.modules() if isinstance(m, BackboneMixin)]
        body = [p for m in bodies for p in m.parameters() if p.requires_grad]
        known = {id(p) for p in body}
        rest = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": rest}]
        return groups + ([{"params": body, "lr": self.learning_rate * self.slow}] if body else [])

    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], tuple[Tensor, list[Objects]]]:
        return ObjectLoader(
            samples, problem, size=self.size, batch_size=self.batch_size,
            augmentation=self.augmentation, rng=rng, device=self.place,
        ).draw  # fmt: skip

    def loss(self, network: nn.Module, batch: Any, training: Training, step: int) -> Tensor:
        if type(training.defence).batch is not Defence.batch:
            raise UnsegError(
                f"the defence {training.defence.name} changes label maps, and {self.name} trains "
                "on objects: choose a semantic victim for it"
            )
        images, objects = batch
        device = self.device(network)
        labels = self.labels([one.to(device) for one in objects])

        def of(some: Tensor) -> Tensor:
            loss: Tensor = network(pixel_values=normalise(some), **labels).loss
            return loss

        return of(training.defence.attack(images.to(device), of))

    @torch.no_grad()
    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        network = self.network
        pixels, frame = letterbox(to_tensor(image)[None].to(self.device(network)), self.size)
        return self.answer(network(pixel_values=pixels), frame)
