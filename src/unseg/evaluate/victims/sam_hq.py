"""SAM-HQ (Ke et al., arXiv 2306.01567): a new output token on a SAM that stays frozen."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam_hq.configuration_sam_hq import SamHQMaskDecoderConfig
from transformers.models.sam_hq.modeling_sam_hq import SamHQMaskDecoder

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.frozen import shipped_base
from unseg.evaluate.victims.sam_clicks import SamClickNetwork, SamClickVictim
from unseg.models.prompts import Prompts
from unseg.models.sam.base import Features, SamBase


class SamHqNetwork(SamClickNetwork):
    """transformers' HQ decoder around a base's frozen one.

    The HQ parts read the encoder's early feature, brought to the embedding's stride, and the
    embedding itself; the mask of the HQ token alone is the answer, as in its authors' training.

    Args:
        base: frozen; its own mask decoder's weights are copied into the HQ decoder.
        sum_masks: add the HQ token's logits to SAM's own, as its authors' predictor does.
    """

    def __init__(self, base: SamBase, *, sum_masks: bool = False) -> None:
        super().__init__(base)
        config = SamHQMaskDecoderConfig(
            hidden_size=base.embed_dim, vit_dim=base.early_channels, layer_norm_eps=1e-5
        )
        config._attn_implementation = "sdpa"
        self.decoder = SamHQMaskDecoder(config)
        missing, _ = self.decoder.load_state_dict(base.mask_decoder.state_dict(), strict=False)
        for name, parameter in self.decoder.named_parameters():
            parameter.requires_grad_(name in missing)
        self._only = not sum_masks

    def forward(self, view: Features, prompts: Prompts) -> Tensor:
        embedding, base = view.embedding, self.base
        sparse, dense = base.prompt_encoder(
            input_points=prompts.points, input_labels=prompts.labels,
            input_boxes=prompts.boxes, input_masks=prompts.masks,
        )  # fmt: skip
        early = F.adaptive_avg_pool2d(view.early, embedding.shape[-1])
        masks, _ = self.decoder(
            image_embeddings=embedding,
            image_positional_embeddings=base.dense_pe(embedding.shape[-1]).expand(
                len(embedding), -1, -1, -1
            ),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            hq_token_only=self._only,
            intermediate_embeddings=[early.permute(0, 2, 3, 1)],
        )
        return torch.as_tensor(masks)[:, :, 0]


class SamHqVictim(SamClickVictim):
    """Trains the HQ token, its MLP and the fusion of features; all of SAM is frozen.

    Args:
        sum_masks: see :class:`SamHqNetwork`.
        steps: optimiser steps.
        batch_size: objects a step.
        learning_rate: peak learning rate.
        settings: of :class:`SamClickVictim`.
    """

    name = "sam_hq"
    summary = "HQ output token and feature fusion trained on a frozen mobile_sam"

    def __init__(
        self,
        *,
        sum_masks: bool = False,
        steps: int = 120,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        **settings: Any,
    ) -> None:
        super().__init__(
            steps=steps, batch_size=batch_size, learning_rate=learning_rate, **settings
        )
        self.sum_masks = sum_masks

    def build(self, problem: Problem) -> nn.Module:
        self._base = shipped_base(self.size)
        return SamHqNetwork(self._base, sum_masks=self.sum_masks)
