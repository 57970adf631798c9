"""SAM itself: its mask decoder fine-tuned on clicks and boxes, its MobileSAM encoder frozen."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.frozen import fresh_heads, shipped_base, train_decoder
from unseg.evaluate.victims.sam_clicks import SamClickNetwork, SamClickVictim
from unseg.models.prompts import Prompts
from unseg.models.sam.base import Features

Start = Literal["pretrained", "scratch"]


class SamNetwork(SamClickNetwork):
    """SAM's own decoder, one mask a prompt."""

    def forward(self, view: Features, prompts: Prompts) -> Tensor:
        logits, _ = self.base.predict_masks(
            view, prompts.points, prompts.labels, prompts.boxes, prompts.masks
        )
        return logits[:, :, 0]


class SamVictim(SamClickVictim):
    """Fine-tunes SAM's prompt encoder and mask decoder.

    Args:
        decoder: what both start from. ``pretrained``: as an attacker would, with the skill that
            they bring: untrained, they are above the floor of clicked regions already.
            ``scratch``: random, so that all they know comes from the training set; that is for
            long schedules, as 150 steps of 8 objects learn nothing (IoU 0 on the validation part).
        steps: optimiser steps.
        batch_size: objects a step.
        learning_rate: peak learning rate.
        settings: of :class:`SamClickVictim`.
    """

    name = "sam"
    summary = "mask decoder fine-tuned on clicks above the frozen mobile_sam encoder"

    def __init__(
        self,
        *,
        decoder: Start = "pretrained",
        steps: int = 150,
        batch_size: int = 8,
        learning_rate: float = 1e-4,
        **settings: Any,
    ) -> None:
        super().__init__(
            steps=steps, batch_size=batch_size, learning_rate=learning_rate, **settings
        )
        if decoder not in ("pretrained", "scratch"):
            raise UnsegError(f"{self.name}: decoder {decoder!r}: expected pretrained or scratch")
        self.decoder: Start = decoder

    def build(self, problem: Problem) -> nn.Module:
        base = shipped_base(self.size)
        self._base = base if self.decoder == "pretrained" else fresh_heads(base)
        train_decoder(self._base)
        self._base.prompt_encoder.requires_grad_(True)
        self._base.prompt_encoder.shared_embedding.requires_grad_(False)
        return SamNetwork(self._base)
