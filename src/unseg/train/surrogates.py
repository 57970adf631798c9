"""The surrogates of a run: trained in turn, and started anew from time to time.

A generator that meets one surrogate learns what that one reads. Victims have other architectures,
start from pretrained weights, and begin at the beginning: so does one of several here, every few
turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from unseg.models.surrogate import PyramidSurrogate, Surrogate, build_surrogate
from unseg.train.config import TrainConfig


class Surrogates:
    """Several surrogates with their optimisers.

    Args:
        config: of the run.
        accelerator: moves them to its device.
    """

    def __init__(self, config: TrainConfig, accelerator: Accelerator) -> None:
        self._config, self._accelerator = config, accelerator
        self.models: list[nn.Module] = []
        self.optimisers: list[torch.optim.Optimizer] = []
        for number in range(len(config.models.surrogates)):
            model = self._fresh(number, 0)
            groups = [{"params": params, "share": share} for params, share in model.parts()]
            optimiser = torch.optim.Adam(groups, lr=config.optimisation.surrogate_learning_rate)
            prepared = accelerator.prepare(model, optimiser)
            self.models.append(prepared[0])
            self.optimisers.append(prepared[1])

    def place(self, step: int, epoch_steps: int) -> int:
        """Whose turn a step is."""
        return self._cycle(step, epoch_steps) % len(self.models)

    def renew(self, step: int, epoch_steps: int) -> None:
        """Start a surrogate anew where its turns are over; to be called before every step."""
        optimisation = self._config.optimisation
        if not optimisation.surrogate_turns or step % (epoch_steps * optimisation.cycle_epochs):
            return
        number = self.place(step, epoch_steps)
        turn = self._cycle(step, epoch_steps) // len(self.models)
        if turn == 0 or turn % optimisation.surrogate_turns:
            return
        fresh = self._fresh(number, turn)
        self._accelerator.unwrap_model(self.models[number]).load_state_dict(fresh.state_dict())
        self.optimisers[number].state.clear()

    def set_learning_rate(self, number: int, learning_rate: float) -> None:
        """Each part of a surrogate trains at its share of it."""
        for group in self.optimisers[number].param_groups:
            group["lr"] = learning_rate * group["share"]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)

    def plain(self, number: int) -> nn.Module:
        """A surrogate without what accelerate wraps around it."""
        return self._accelerator.unwrap_model(self.models[number])

    def state(self) -> list[dict[str, Any]]:
        """Weights and optimisers, for a checkpoint."""
        return [
            {"model": self.plain(number).state_dict(), "optimiser": optimiser.state_dict()}
            for number, optimiser in enumerate(self.optimisers)
        ]

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Go back to :meth:`state`."""
        for number, state in enumerate(states):
            self.plain(number).load_state_dict(state["model"])
            self.optimisers[number].load_state_dict(state["optimiser"])

    def _cycle(self, step: int, epoch_steps: int) -> int:
        return step // (epoch_steps * self._config.optimisation.cycle_epochs)

    def _fresh(self, number: int, turn: int) -> Surrogate | PyramidSurrogate:
        models = self._config.models
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._config.optimisation.seed * 1_000_003 + 64 * turn + number)
            return build_surrogate(
                models.surrogates[number], models.surrogate_size, models.surrogate_width
            )
