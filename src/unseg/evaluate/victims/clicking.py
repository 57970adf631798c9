"""Victims that learn to answer clicks, by a user simulated while they train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.datasets.samples import Sample, to_tensor
from unseg.evaluate.clicks import core, next_click
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.base import InteractiveVictim, Training
from unseg.evaluate.victims.training import TrainedVictim
from unseg.models.geometry import letterbox, unletterbox
from unseg.models.prompts import Prompts
from unseg.train.losses import mask_loss
from unseg.train.prompts import boxes_of, points_of


class ClickNetwork(nn.Module, ABC):
    """Looks at a photograph once, then answers any number of prompts. Two hooks."""

    @abstractmethod
    def look(self, pixels: Tensor) -> Any:
        """What :meth:`forward` needs of images.

        Args:
            pixels: (B, 3, S, S) float, normalised and padded by ``letterbox``.
        """

    @abstractmethod
    def forward(self, view: Any, prompts: Prompts) -> Tensor:
        """Segment one object an image.

        Args:
            view: of B images, from :meth:`look`.
            prompts: of B; ``masks`` are the logits of the answer before.

        Returns:
            (B, 1, g, g) float logits over the square.
        """


class ClickVictim(InteractiveVictim, TrainedVictim):
    """Simulated clicks in training, as in testing.

    A training object is prompted with a click (or, now and then, its box); up to ``clicks - 1``
    times the network answers and is corrected where it is most wrong; the last answer is learned
    from (iterative training, Sofiiuk et al., arXiv 2102.06583).

    Hooks: :meth:`build` makes a :class:`ClickNetwork`; :meth:`batches` draws batches that
    :meth:`open` turns into a view and targets.

    Args:
        size: side of the square that photographs are fitted into, in pixels.
        steps: optimiser steps.
        batch_size: objects a step.
        learning_rate: peak learning rate.
        weight_decay: weight decay of AdamW.
        clicks: most prompts an object in training.
        boxes: share of the steps that start with a box instead of a click.
    """

    def __init__(
        self,
        *,
        size: int,
        steps: int,
        batch_size: int,
        learning_rate: float,
        weight_decay: float = 1e-2,
        clicks: int = 3,
        boxes: float = 0.25,
    ) -> None:
        self.size, self.steps, self.batch_size = size, steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.clicks, self.boxes = clicks, boxes
        self._image: NDArray[np.uint8] | None = None

    def fit(self, samples: Sequence[Sample], problem: Problem, training: Training) -> list[float]:
        self._image = None  # What it saw of the last photograph, another network saw.
        return super().fit(samples, problem, training)

    @abstractmethod
    def open(
        self, network: nn.Module, batch: Any, training: Training, step: int
    ) -> tuple[Any, Tensor]:
        """A batch on the network's device: its view, and targets (B, 1, T, T) float in [0, 1]."""

    def loss(self, network: nn.Module, batch: Any, training: Training, step: int) -> Tensor:
        view, targets = self.open(network, batch, training, step)
        rng = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
        prompts = self._first(targets, rng)
        for _ in range(int(torch.randint(self.clicks, (), generator=rng))):
            with torch.no_grad():
                prompts = self._corrected(prompts, network(view, prompts), targets)
        return mask_loss(network(view, prompts), targets, points=1024, rng=rng)

    def _first(self, targets: Tensor, rng: torch.Generator) -> Prompts:
        if float(torch.rand((), generator=rng)) < self.boxes:
            return Prompts(boxes=boxes_of(targets, self.size, 0.05, rng))
        inner = np.stack([core(target) for target in _masks(targets)])
        points, labels = points_of(torch.from_numpy(inner)[:, None], 1, self.size, rng)
        return Prompts(points.to(targets.device), labels.to(targets.device))

    def _corrected(self, prompts: Prompts, logits: Tensor, targets: Tensor) -> Prompts:
        """Prompts with one more click each, and the answer that it corrects."""
        scale = self.size / targets.shape[-1]
        found = nn.functional.interpolate(logits.float(), targets.shape[-2:], mode="bilinear") > 0
        points, labels = [], []
        for answer, truth in zip(_masks(found.float()), _masks(targets), strict=True):
            x, y, label = next_click(answer, truth) or (0, 0, PADDING)
            points.append([[(x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5]])
            labels.append([label])
        device = targets.device
        more = torch.tensor(points, device=device)[:, None]
        said = torch.tensor(labels, dtype=torch.float32, device=device)[:, None]
        if prompts.points is not None and prompts.labels is not None:
            more = torch.cat([prompts.points, more], dim=2)
            said = torch.cat([prompts.labels, said], dim=2)
        return replace(prompts, points=more, labels=said, masks=settled(logits))

    @torch.no_grad()
    def click(self, image: NDArray[np.uint8], points: Tensor, labels: Tensor) -> Tensor:
        network = cast(ClickNetwork, self.network)
        if image is not self._image:
            pixels, self._frame = letterbox(to_tensor(image)[None], self.size)
            self._view = network.look(pixels.to(self.device(network)))
            self._image, self._answers = image, dict[tuple[Any, ...], Tensor]()
        xy = (points.double() + 0.5) * self._frame.scale - 0.5
        clicks = tuple(map(tuple, torch.cat([xy, labels[:, None].double()], dim=1).tolist()))
        return unletterbox(self._answer(network, clicks), self._frame)[0, 0].cpu() > 0

    def _answer(self, network: nn.Module, clicks: tuple[Any, ...]) -> Tensor:
        """Logits after some clicks, each made on sight of the answer before."""
        if clicks not in self._answers:
            before = self._answer(network, clicks[:-1]) if len(clicks) > 1 else None
            table = torch.tensor(clicks, device=self.device(network), dtype=torch.float32)
            table = table[None, None]
            prompts = Prompts(
                table[..., :2], table[..., 2], masks=None if before is None else settled(before)
            )
            self._answers[clicks] = network(self._view, prompts)
        return self._answers[clicks]


PADDING = -10
"""Label of a click that was not made, as SAM's prompt encoder has it."""


def settled(logits: Tensor) -> Tensor:
    """An answer as the next prompt: detached, and bounded as SAM bounds its own."""
    return logits.detach().float().clamp(-32, 32)


def _masks(maps: Tensor) -> NDArray[np.bool_]:
    return (maps[:, 0] > 0.5).cpu().numpy()
