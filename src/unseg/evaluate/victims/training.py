"""The training loop that every victim shares."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.base import Training, Victim
from unseg.evaluate.victims.checkpoint import identity
from unseg.seed import seed_everything

CHECKED = 50
"""Steps on a GPU between two looks at the loss: each look waits for all that is queued."""


class TrainedVictim(Victim):
    """AdamW, a linear warm-up over a tenth of the steps, then a cosine.

    Hooks: :meth:`build` makes the network, :meth:`batches` a function that draws a batch, and
    :meth:`loss` the loss of one. accelerate moves them: to one CPU, one GPU or several.

    Subclasses set ``steps``, ``batch_size``, ``learning_rate`` (the peak) and ``weight_decay`` in
    their constructor, where they are settings.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    checkpoint: str = ""
    """Hugging Face folder that :meth:`build` starts from, of victims with such a setting."""

    _network: nn.Module | None = None
    _place = torch.device("cpu")
    _problem: Problem

    def settings(self) -> dict[str, Any]:
        found = super().settings()
        if name := found.get("checkpoint"):
            found["checkpoint"] = identity(name)  # known by its contents
        return found

    @abstractmethod
    def build(self, problem: Problem) -> nn.Module:
        """The network to train; random weights follow from the seed."""

    @abstractmethod
    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], Any]:
        """A function that draws the next batch, on :attr:`place` or the CPU."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any, training: Training, step: int) -> Tensor:
        """Scalar loss of one batch, which may still have to move to the network's device."""

    def parameters(self, network: nn.Module) -> list[dict[str, Any]]:
        """AdamW's parameter groups: by default all that need a gradient, at ``learning_rate``."""
        return [{"params": [p for p in network.parameters() if p.requires_grad]}]

    def fit(self, samples: Sequence[Sample], problem: Problem, training: Training) -> list[float]:
        if problem.kind not in self.kinds:
            raise UnsegError(
                f"{self.name} does not do {problem.kind} problems, only "
                f"{', '.join(sorted(self.kinds))}: choose another victim"
            )
        if self.steps < 1:
            raise UnsegError(f"{self.name}'s steps are {self.steps}: give at least 1")
        seed_everything(training.seed)
        self._problem = problem
        processes = training.processes
        self._place = processes.device
        # Victims with a frozen encoder look at their samples before the first step.
        network = self.build(problem).to(processes.device)
        # Every process draws batches of its own; a single one draws the seed's.
        entropy = [training.seed, processes.rank][: 1 + processes.rank]
        rng = np.random.default_rng(entropy if len(entropy) > 1 else training.seed)
        draw = self.batches(samples, problem, rng)
        gpu = processes.device.type == "cuda"
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.parameters(network), lr=self.learning_rate, weight_decay=self.weight_decay,
            fused=gpu or None,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.factor)
        network, optimizer = processes.prepare(network, optimizer)
        losses: list[float] = []
        waiting: list[Tensor] = []
        network.train()
        # Crops all have one size, for which the quickest kernels are worth looking for.
        with torch.backends.cudnn.flags(enabled=True, benchmark=gpu):
            for step in range(self.steps):
                batch = draw()
                with processes.autocast(self.queued):
                    loss = self.loss(network, batch, training, step)
                optimizer.zero_grad()
                processes.backward(loss)
                optimizer.step()
                schedule.step()
                waiting.append(loss.detach())
                if not (gpu and self.queued) or len(waiting) == CHECKED or step + 1 == self.steps:
                    self._check(waiting, losses)
                training.progress((step + 1) / self.steps)
        self._network = processes.unwrap(network).eval()
        return [float(part.mean()) for part in np.array_split(losses, min(10, len(losses)))]

    def _check(self, waiting: list[Tensor], losses: list[float]) -> None:
        """Read the losses of steps that are done."""
        for loss in torch.stack(waiting).tolist():
            losses.append(loss)
            if not math.isfinite(loss):
                raise UnsegError(
                    f"{self.name}: the loss is {loss} at step {len(losses)} of {self.steps}, so "
                    "the result would mean nothing: give a lower learning_rate"
                )
        waiting.clear()

    @property
    def place(self) -> torch.device:
        """The device to train on."""
        return self._place

    @property
    def network(self) -> nn.Module:
        """The trained network.

        Raises:
            RuntimeError: before :meth:`fit`.
        """
        if self._network is None:
            raise RuntimeError("predict was called before fit: call fit first")
        return self._network

    @staticmethod
    def device(network: nn.Module) -> torch.device:
        """The device a network lives on."""
        return next(network.parameters()).device

    def factor(self, step: int) -> float:
        """Learning rate relative to the peak."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))
