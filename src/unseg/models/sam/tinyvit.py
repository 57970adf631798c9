"""TinyViT-5M, the image encoder of MobileSAM (Wu et al., 2022; Zhang et al., 2023).

Written for inference and for gradients to the input. Batch norms are folded into the convolutions
before them, so a convolution with a bias stands wherever the published layout has ``c`` and
``bn``; every other name and shape follows the public ``image_encoder.*`` layout.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class TinyVitConfig:
    """Shape of a TinyViT; the defaults are the 5M model of MobileSAM.

    Args:
        dims: channels of the four stages; the first is convolutional, the others attend.
        depths: blocks in each stage.
        heads: attention heads of each stage (the first stage has none and ignores its number).
        windows: side of the attention windows of each stage, in tokens.
        output_channels: channels of the embedding.
    """

    dims: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    output_channels: int = 256


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, depthwise: bool = False
) -> nn.Sequential:
    """A convolution under the name ``c``, which is where the public layout keeps it."""
    groups = inputs if depthwise else 1
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups)
    return nn.Sequential(OrderedDict(c=layer))


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PatchEmbed(nn.Module):
    """Two strided convolutions: (B, 3, H, W) to (B, C, H/4, W/4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            _conv(3, channels // 2, 3, 2), nn.GELU(), _conv(channels // 2, channels, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class MBConv(nn.Module):
    """Inverted bottleneck with a shortcut; the activation follows the sum."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = channels * expansion
        self.conv1 = _conv(channels, hidden)
        self.conv2 = _conv(hidden, hidden, 3, depthwise=True)
        self.conv3 = _conv(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class PatchMerging(nn.Module):
    """Between stages: new channel count, and half the resolution if ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs)
        self.conv2 = _conv(outputs, outputs, 3, stride, depthwise=True)
        self.conv3 = _conv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


def bias_index(window: int) -> Tensor:
    """(N, N) long, N = window**2: which entry of the bias table a pair of tokens uses.

    Entry ``|dy| * window + |dx|`` belongs to tokens that far apart, the order in which the
    offsets first appear when the pairs are listed.
    """
    places = torch.tensor(list(itertools.product(range(window), repeat=2)))
    offsets = (places[:, None] - places[None]).abs()
    return offsets[..., 0] * window + offsets[..., 1]


class Attention(nn.Module):
    """Multi-head attention inside windows, with one learned bias per head and offset."""

    bias_index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("bias_index", bias_index(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, tokens, channels) to the same."""
        windows, tokens, channels = x.shape
        # The layout interleaves by head: q, k and v of head 0, then those of head 1, ...
        qkv = self.qkv(self.norm(x)).view(windows, tokens, self.heads, -1).transpose(1, 2)
        query, key, value = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, self.bias_index].unsqueeze(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(mixed.transpose(1, 2).reshape(windows, tokens, channels))


class Mlp(nn.Module):
    """Token-wise perceptron."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, channels * expansion)
        self.fc2 = nn.Linear(channels * expansion, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class TinyVitBlock(nn.Module):
    """Windowed attention, a depthwise convolution that crosses windows, and a perceptron."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(channels, heads, window)
        self.local_conv = _conv(channels, channels, 3, depthwise=True)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, H, W) in channels-last memory: the token view costs no copy.
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + self._attend(tokens)
        tokens = self.local_conv(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (tokens + self.mlp(tokens)).permute(0, 3, 1, 2)

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, height, width, channels = tokens.shape
        window = self.window
        # Zero padding takes part in the attention, as it did when the weights were trained.
        padded = F.pad(tokens, (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = padded.shape[1] // window, padded.shape[2] // window
        windows = padded.view(batch, rows, window, columns, window, channels).transpose(2, 3)
        mixed = self.attn(windows.reshape(-1, window * window, channels))
        mixed = mixed.view(batch, rows, columns, window, window, channels).transpose(2, 3)
        return mixed.reshape(padded.shape)[:, :height, :width]


class Stage(nn.Module):
    """Blocks of one resolution and, except for the last stage, the step to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyVit(nn.Module):
    """MobileSAM's image encoder.

    Args:
        config: the model's shape.

    Example:
        >>> embedding, early = TinyVit()(torch.zeros(1, 3, 64, 64))
        >>> embedding.shape, early.shape
        (torch.Size([1, 256, 4, 4]), torch.Size([1, 128, 8, 8]))
    """

    def __init__(self, config: TinyVitConfig | None = None) -> None:
        super().__init__()
        config = config or TinyVitConfig()
        dims = config.dims
        self.patch_embed = PatchEmbed(dims[0])
        self.layers = nn.ModuleList()
        for index, (dim, depth) in enumerate(zip(dims, config.depths, strict=True)):
            blocks: list[nn.Module] = [
                MBConv(dim) if index == 0 else
                TinyVitBlock(dim, config.heads[index], config.windows[index])
                for _ in range(depth)
            ]  # fmt: skip
            # The last two stages share a resolution: a sixteenth of the input.
            downsample = (
                PatchMerging(dim, dims[index + 1], 1 if index == 2 else 2) if index < 3 else None
            )
            self.layers.append(Stage(blocks, downsample))
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], config.output_channels, 1, bias=False),
            LayerNorm2d(config.output_channels),
            nn.Conv2d(config.output_channels, config.output_channels, 3, padding=1, bias=False),
            LayerNorm2d(config.output_channels),
        )

    def forward(
        self, pixel_values: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b c g g"], Float[Tensor, "b _c e e"]]:
        """Encode images.

        Args:
            pixel_values: (B, 3, S, S), float, normalised; S a multiple of 16.

        Returns:
            The embedding (B, output_channels, S/16, S/16) and the first stage's output
            (B, dims[1], S/8, S/8).
        """
        x = self.patch_embed(pixel_values.contiguous(memory_format=torch.channels_last))
        early = x = self.layers[0](x)
        for stage in list(self.layers)[1:]:
            x = stage(x)
        return self.neck(x), early
