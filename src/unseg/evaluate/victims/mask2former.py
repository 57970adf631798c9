"""Mask2Former (Cheng et al., CVPR 2022) of transformers, small."""

from __future__ import annotations

from typing import Any

from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.checkpoint import Around, from_local
from unseg.evaluate.victims.masks import MaskQueryVictim


class Mask2FormerVictim(MaskQueryVictim):
    """Deformable pixel decoder and masked attention over three levels.

    Args:
        width: channels of the pixel decoder and the queries; a multiple of 32.
        encoder: layers of the pixel decoder.
        decoder: layers of the query decoder; each is taught.
        points: places where a mask is compared with the truth.
        settings: of :class:`QueryVictim`.
    """

    name = "mask2former"
    summary = "Mask2Former (transformers) on a pretrained backbone"

    def __init__(
        self,
        *,
        width: int = 64,
        encoder: int = 2,
        decoder: int = 4,
        points: int = 1024,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.width, self.encoder, self.decoder, self.points = width, encoder, decoder, points

    def build(self, problem: Problem) -> nn.Module:
        from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

        shape: dict[str, Any] = {
            "num_queries": self.queries,
            "feature_size": self.width,
            "mask_feature_size": self.width,
            "hidden_dim": self.width,
            "encoder_feedforward_dim": 2 * self.width,
            "dim_feedforward": 4 * self.width,
            "encoder_layers": self.encoder,
            # transformers counts the prediction from the untouched queries as a layer.
            "decoder_layers": self.decoder + 1,
            "num_attention_heads": 4,
            "train_num_points": self.points,
        }
        if self.checkpoint:
            around = Around("model.pixel_level_module.encoder", settings=shape)
            return from_local(
                Mask2FormerForUniversalSegmentation, self.checkpoint, len(problem.classes),
                around=around, train_num_points=self.points,
            )  # fmt: skip
        return Mask2FormerForUniversalSegmentation(
            Mask2FormerConfig(
                backbone_config=self.pyramid(4, 8, 16, 32),
                id2label=dict(enumerate(problem.classes)),
                **shape,
            )
        )
