"""MaskFormer (Cheng et al., NeurIPS 2021) of transformers, small."""

from __future__ import annotations

from typing import Any

from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.checkpoint import Around, from_local
from unseg.evaluate.victims.masks import MaskQueryVictim


class MaskFormerVictim(MaskQueryVictim):
    """A feature pyramid for the pixels, and DETR's decoder over the coarsest level.

    Args:
        width: channels of the pyramid and the queries; a multiple of 32.
        decoder: layers of the query decoder; each is taught.
        settings: of :class:`QueryVictim`.
    """

    name = "maskformer"
    summary = "MaskFormer (transformers) on a pretrained backbone"

    def __init__(self, *, width: int = 96, decoder: int = 3, **settings: Any) -> None:
        super().__init__(**settings)
        self.width, self.decoder = width, decoder

    def build(self, problem: Problem) -> nn.Module:
        from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation
        from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

        decoder = MaskFormerDetrConfig(
            backbone_config=self.pyramid(16),
            num_queries=self.queries,
            d_model=self.width,
            decoder_layers=self.decoder,
            decoder_ffn_dim=4 * self.width,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            dropout=0.0,
        )
        shape: dict[str, Any] = {
            "decoder_config": decoder,
            "fpn_feature_size": self.width,
            "mask_feature_size": self.width,
            "use_auxiliary_loss": True,
        }
        # Without them transformers has no outputs of the layers to teach.
        every: dict[str, Any] = {"output_hidden_states": True}
        if self.checkpoint:
            around = Around("model.pixel_level_module.encoder", settings=shape)
            return from_local(
                MaskFormerForInstanceSegmentation, self.checkpoint, len(problem.classes),
                around=around, **every,
            )  # fmt: skip
        return MaskFormerForInstanceSegmentation(
            MaskFormerConfig(
                # Its queries see the coarsest level alone, so that is not made too coarse.
                backbone_config=self.pyramid(4, 8, 16),
                id2label=dict(enumerate(problem.classes)),
                **shape,
                **every,
            )
        )
