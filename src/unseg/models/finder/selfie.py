"""MediaPipe's Selfie Segmentation: where a person is, at 256 x 256, on a small MobileNetV3."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unseg.models.finder.convolution import Activation, Convolution

INPUT = 256
"""Side of the input, in pixels."""
#: (channels within, out, kernel, stride, channels of the gate or 0, activation) of the encoder.
_BLOCKS: tuple[tuple[int, int, int, int, int, Activation], ...] = (
    (16, 16, 3, 2, 8, F.relu),
    (72, 24, 3, 2, 0, F.relu),
    (88, 24, 3, 1, 0, F.relu),
    (96, 32, 5, 2, 24, F.hardswish),
    (128, 32, 5, 1, 32, F.hardswish),
    (128, 32, 5, 1, 32, F.hardswish),
    (96, 32, 5, 1, 24, F.hardswish),
    (96, 32, 5, 1, 24, F.hardswish),
)


class Gate(nn.Module):
    """How much of each channel passes, from the channels' means (squeeze and excitation)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.squeeze = Convolution(channels, inner, activation=F.relu)
        self.excite = Convolution(inner, channels, activation=torch.sigmoid)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        """Factors in [0, 1]."""
        return self.excite(self.squeeze(x.mean((2, 3), keepdim=True)))


class Block(nn.Module):
    """An inverted residual of MobileNetV3."""

    def __init__(self, inputs: int, inner: int, outputs: int, kernel: int, stride: int,
                 gate: int, activation: Activation) -> None:  # fmt: skip
        super().__init__()
        self.widen = Convolution(inputs, inner, activation=activation)
        self.filter = Convolution(
            inner, inner, kernel, stride, depthwise=True, activation=activation
        )
        self.gate = Gate(inner, gate) if gate else None
        self.narrow = Convolution(inner, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Features."""
        wide = self.filter(self.widen(x))
        if self.gate is not None:
            wide = wide * self.gate(wide)
        result = self.narrow(wide)
        return x + result if self.adds else result


class Rise(nn.Module):
    """Twice the size: coarse features meet those that the encoder had at that size."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.meet = Convolution(coarse, fine)
        self.gate = Gate(fine, fine)
        self.mix = Convolution(fine, fine, activation=F.relu)
        self.filter = Convolution(fine, fine, 3, depthwise=True, activation=F.relu)

    def forward(
        self, coarse: Float[Tensor, "b c h w"], fine: Float[Tensor, "b f h2 w2"]
    ) -> Float[Tensor, "b f h2 w2"]:
        """Features of the finer grid."""
        size = fine.shape[-2:]
        risen = self.meet(F.interpolate(coarse, size, mode="bilinear", align_corners=False))
        mixed = self.mix(fine * self.gate(fine + risen) + risen)
        return mixed + self.filter(mixed)


class SelfieModel(nn.Module):
    """Probability of "person" for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 16, 3, 2, activation=F.hardswish)
        widths = [16, *(block[1] for block in _BLOCKS)]
        self.blocks = nn.ModuleList(
            Block(inputs, *rest) for inputs, rest in zip(widths, _BLOCKS, strict=False)
        )
        self.local = Convolution(32, 128, activation=F.relu)
        self.overall = Convolution(32, 128, activation=torch.sigmoid)
        self.steps = nn.ModuleList([Rise(128, 24), Rise(24, 16), Rise(16, 16)])
        self.logits = nn.ConvTranspose2d(16, 1, 2, stride=2)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Probabilities in [0, 1].

        Args:
            pixels: (B, 3, 256, 256), float, RGB, in [0, 1].
        """
        fine = [x := self.stem(pixels)]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in (0, 2):
                fine.append(x)
        x = self.local(x) * self.overall(x.mean((2, 3), keepdim=True))
        for step, features in zip(self.steps, reversed(fine), strict=True):
            x = step(x, features)
        return self.logits(x).sigmoid()

    @torch.no_grad()
    def people(
        self, image: Float[Tensor, "3 h w"], windows: list[tuple[int, int, int, int]]
    ) -> Float[Tensor, "n 256 256"]:
        """Probabilities of "person" in parts of an image.

        Args:
            image: (3, H, W), float, RGB, in [0, 255].
            windows: left, top, right and bottom in pixels; at least one pixel each.

        Returns:
            (n, 256, 256), each window squeezed into a square.
        """
        device, size = self.stem.weight.device, (INPUT, INPUT)
        parts = [
            F.interpolate(
                image[None, :, top:bottom, left:right].to(device), size, mode="bilinear",
                antialias=True,
            )
            for left, top, right, bottom in windows
        ]  # fmt: skip
        return self(torch.cat(parts) / 255)[:, 0]
