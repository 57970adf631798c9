"""RT-DETR (Zhao et al., CVPR 2024) of transformers, small."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from unseg.evaluate.problem import Instances, Kind, Prediction, Problem
from unseg.evaluate.victims.checkpoint import Around, from_local
from unseg.evaluate.victims.objects import Objects
from unseg.evaluate.victims.query import QueryVictim
from unseg.models.geometry import Frame

STRIDES = (8, 16, 32)


class RtDetrVictim(QueryVictim):
    """Queries are the best places of an encoder over three levels, refined layer by layer.

    Args:
        width: channels of encoder and decoder, a multiple of 8.
        decoder: layers of the query decoder; each is taught.
        denoising: noisy copies of the truth that are taught beside the queries.
        settings: of :class:`QueryVictim`.
    """

    name = "rtdetr"
    summary = "RT-DETR (transformers) on a pretrained backbone"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"detection"})

    def __init__(
        self, *, width: int = 128, decoder: int = 3, denoising: int = 40, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.width, self.decoder, self.denoising = width, decoder, denoising

    def build(self, problem: Problem) -> nn.Module:
        from transformers import RTDetrConfig, RTDetrForObjectDetection

        shape: dict[str, Any] = {
            # The backbones freeze their own.
            "freeze_backbone_batch_norms": False,
            "num_queries": self.queries,
            "num_denoising": self.denoising,
            "d_model": self.width,
            "encoder_hidden_dim": self.width,
            "decoder_in_channels": [self.width] * len(STRIDES),
            "feat_strides": list(STRIDES),
            "encoder_ffn_dim": 2 * self.width,
            "decoder_ffn_dim": 2 * self.width,
            "decoder_layers": self.decoder,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "hidden_expansion": 0.5,
            # The published model's start; transformers' own suits checkpoints only.
            "initializer_range": 0.05,
            "initializer_bias_prior_prob": 0.01,
        }
        if self.checkpoint:
            return from_local(
                RTDetrForObjectDetection, self.checkpoint, len(problem.classes),
                around=Around(
                    "model.backbone.model", (2, 3, 4), "encoder_in_channels", shape, fill_norms
                ),
            )  # fmt: skip
        network = RTDetrForObjectDetection(
            RTDetrConfig(
                backbone_config=self.pyramid(*STRIDES),
                id2label=dict(enumerate(problem.classes)),
                encoder_in_channels=[self.width] * len(STRIDES),
                **shape,
            )
        )
        fill_norms(network)
        return network

    def labels(self, objects: list[Objects]) -> dict[str, Any]:
        return {"labels": [{"class_labels": o.classes, "boxes": o.boxes} for o in objects]}

    def answer(self, found: Any, frame: Frame) -> Prediction:
        scores = found.logits[0].float().cpu().sigmoid()
        best = scores.flatten().topk(min(100, scores.numel()))
        queries, categories = best.indices // scores.shape[1], best.indices % scores.shape[1]
        middle, extent = found.pred_boxes[0].float().cpu()[queries].split(2, dim=1)
        corners = torch.cat([middle - extent / 2, middle + extent / 2], dim=1)
        boxes = corners * frame.size / frame.scale
        limit = torch.tensor([frame.width, frame.height] * 2)
        return Instances(boxes.clamp(min=0).minimum(limit), best.values, categories)


def fill_norms(network: Any) -> None:
    """Give a new RT-DETR's batch norms their usual start, one.

    transformers draws them near zero, to be overwritten by a checkpoint.
    """
    model = network.model
    for part in (model.encoder_input_proj, model.encoder, model.decoder_input_proj):
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
