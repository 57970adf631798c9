"""UperNet on ConvNeXt (transformers), a small one from scratch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.checkpoint import Around, from_local
from unseg.evaluate.victims.semantic import SemanticVictim


class UperNetVictim(SemanticVictim):
    """Pyramid pooling over a feature pyramid (Xiao et al., 2018) on ConvNeXt (Liu et al., 2022).

    Args:
        width: channels of ConvNeXt's first stage, doubled by each of three further ones; its
            "atto" has 40.
        depth: blocks a stage.
        decoder: channels of the decoder.
        learning_rate: peak learning rate.
        checkpoint: local Hugging Face folder to start from instead, of the model or of a backbone.
        settings: of :class:`SemanticVictim`.
    """

    name = "upernet"
    summary = "UperNet on a small ConvNeXt from scratch (transformers)"

    def __init__(
        self,
        *,
        width: int = 32,
        depth: int = 2,
        decoder: int = 64,
        learning_rate: float = 2e-3,
        checkpoint: str = "",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
        self.width, self.depth, self.decoder = width, depth, decoder
        self.checkpoint = checkpoint

    def build(self, problem: Problem) -> nn.Module:
        from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

        if self.checkpoint:
            around = Around(
                "backbone", settings={"hidden_size": self.decoder, "use_auxiliary_head": False}
            )
            return from_local(
                UperNetForSemanticSegmentation, self.checkpoint, self.num_classes(problem),
                around=around,
            ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fmt: skip
        network = UperNetForSemanticSegmentation(
            UperNetConfig(  # type: ignore[call-arg]
                backbone_config=ConvNextConfig(  # type: ignore[call-arg]
                    hidden_sizes=[self.width * 2**stage for stage in range(4)],
                    depths=[self.depth] * 4,
                    # ConvNeXt's start at 1e-6 is for deep networks and long schedules.
                    layer_scale_init_value=1.0,
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                hidden_size=self.decoder,
                use_auxiliary_head=False,
                num_labels=self.num_classes(problem),
            )
        )
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
