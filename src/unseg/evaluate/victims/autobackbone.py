"""Our backbones in the form that transformers' query models take them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from unseg.models.backbones import BACKBONES


class PyramidConfig(BackboneConfigMixin, PreTrainedConfig):
    """Which backbone, and which of its levels.

    Args:
        backbone: a name in ``BACKBONES``.
        pretrained: start from weights that were trained elsewhere.
        strides: of the levels that are wanted, finest first.
    """

    model_type = "unseg_pyramid"

    backbone: str = "efficientnet"
    pretrained: bool = True
    strides: tuple[int, ...] | list[int] = (4, 8, 16, 32)

    def __post_init__(self, **kwargs: Any) -> None:
        self.stage_names = [f"stride{stride}" for stride in self.strides]
        self.set_output_features_output_indices(list(self.stage_names), None)
        super().__post_init__(**kwargs)


class Pyramid(BackboneMixin, PreTrainedModel):
    """A backbone of ours as an ``AutoBackbone``.

    Pretrained batch norms keep their statistics: batches of a few photographs would spoil them,
    which is why the published recipes freeze them, too.
    """

    config: PyramidConfig
    config_class = PyramidConfig
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__(config)
        self.body = BACKBONES[config.backbone](pretrained=config.pretrained)
        known = dict(zip(self.body.strides, self.body.channels, strict=True))
        # A level that the backbone lacks is made of its coarsest one.
        self.num_features = [known.get(s, self.body.channels[-1]) for s in config.strides]
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the body brings its own weights, and transformers would draw new ones."""

    def train(self, mode: bool = True) -> Pyramid:
        super().train(mode)
        if self.config.pretrained:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, pixel_values: Tensor, **_: Any) -> BackboneOutput:  # type: ignore[override]
        """Features of (B, 3, H, W) normalised images, one map a stride of the configuration."""
        # Channels last is what CPU convolutions are quickest with.
        images = pixel_values.contiguous(memory_format=torch.channels_last)
        found = dict(zip(self.body.strides, self.body(images), strict=True))
        last = self.body.strides[-1]
        maps = [
            found[stride] if stride in found else F.max_pool2d(found[last], 1, stride // last)
            for stride in self.config.strides
        ]
        return BackboneOutput(feature_maps=tuple(maps))  # type: ignore[arg-type]


AutoConfig.register(PyramidConfig.model_type, PyramidConfig)
AutoBackbone.register(PyramidConfig, Pyramid)
