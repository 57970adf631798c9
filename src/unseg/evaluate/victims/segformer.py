"""SegFormer (transformers), a small one from scratch."""

from __future__ import annotations

from typing import Any

from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.checkpoint import from_local
from unseg.evaluate.victims.semantic import SemanticVictim


class SegformerVictim(SemanticVictim):
    """SegFormer-B0's shape (Xie et al., 2021): overlapping patches, no positions, an MLP decoder.

    Args:
        width: channels of the first stage's attention head; 32 is B0.
        depth: blocks a stage.
        learning_rate: peak learning rate.
        checkpoint: local Hugging Face folder to start from instead, of an encoder or the model.
        settings: of :class:`SemanticVictim`.
    """

    name = "segformer"
    summary = "SegFormer-B0 from scratch (transformers)"

    def __init__(
        self,
        *,
        width: int = 32,
        depth: int = 2,
        learning_rate: float = 1e-3,
        checkpoint: str = "",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
        self.width, self.depth, self.checkpoint = width, depth, checkpoint

    def build(self, problem: Problem) -> nn.Module:
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        if self.checkpoint:
            labels = self.num_classes(problem)
            return from_local(SegformerForSemanticSegmentation, self.checkpoint, labels)
        heads = (1, 2, 5, 8)
        return SegformerForSemanticSegmentation(
            SegformerConfig(  # type: ignore[call-arg]
                num_labels=self.num_classes(problem),
                depths=[self.depth] * 4,
                hidden_sizes=[self.width * n for n in heads],
                num_attention_heads=list(heads),
                decoder_hidden_size=8 * self.width,
                drop_path_rate=0.0,
            )
        )
