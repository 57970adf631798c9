"""The convolution that both networks are made of: TensorFlow's padding, an activation behind it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


def unchanged(x: Tensor) -> Tensor:
    """No activation."""
    return x


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME does, which pads more on the right and below.

    Args:
        inputs: channels that go in.
        outputs: channels that come out.
        kernel: side in pixels.
        stride: step in pixels.
        depthwise: whether each channel is filtered by itself.
        activation: applied to the result.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        activation: Activation = unchanged,
    ) -> None:
        groups = inputs if depthwise else 1
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.activation = activation

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Features of half the size, rounded up, at stride 2."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        if height or width:
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return self.activation(super().forward(x))
