"""Surrogates: SAM's shape from scratch (paper, section 3.2), and what trainers fine-tune.

``vit_b`` is SAM itself with random weights, the paper's choice; ``small`` swaps the vision
transformer for a convolutional encoder, because a transformer learns nothing from scratch within
the steps that two CPU cores can carry. Trainers start from pretrained backbones, which ignore noise
that a network from scratch reads well: ``tinyvit``, ``efficientnet`` and ``mobilenetv2`` stand for
them, under a feature pyramid and without prompts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import SamConfig, SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import (
    SamLayerNorm,
    SamMaskDecoder,
    SamPromptEncoder,
)

from unseg.errors import UnsegError
from unseg.models.backbones import BACKBONES
from unseg.models.backbones.base import MEAN, STD
from unseg.models.backbones.pyramid import PyramidNetwork
from unseg.models.prompts import Prompts, dense_positions
from unseg.models.sam.vit import PATCH, VitConfig
from unseg.models.sam.vit_encoder import VitEncoder

#: About SAM's own pixel mean and deviation, the same for every channel, RGB in [0, 255].
CENTRE, SPREAD = 127.5, 58.0
#: Those of SAM's shape, from scratch.
SAM_SHAPED = ("small", "vit_b")
SURROGATES = (*SAM_SHAPED, *BACKBONES)
"""Every surrogate's name."""
#: A pretrained backbone's learning rate relative to its new decoder's.
BACKBONE_SHARE = 0.2


class ConvBlock(nn.Module):
    """ConvNeXt-style residual block (arXiv 2201.03545) with a group norm.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """(B, C, H, W) to the same shape."""
        return x + self.project(F.gelu(self.expand(self.norm(self.depthwise(x)))))


class ConvEncoder(nn.Module):
    """Image encoder of the small surrogate, stride 8.

    Args:
        width: channels of the embedding, a multiple of 4.
        depth: blocks at the embedding's resolution.

    The stride is 8, not SAM's 16: the surrogate's input is small, and textures of a few pixels,
    which a victim with skip connections sees, must not vanish before the first block. For the same
    reason the first layer also gets what a local mean leaves, amplified: a small network from
    scratch finds the coarse cues of an image first and needs many more steps than two CPU cores
    can carry to find the fine ones, which a victim with all the time in the world does find.
    """

    stride = 8
    #: Side of the local mean, pixels, and gain of what it leaves.
    window, gain = 9, 4.0

    def __init__(self, width: int, depth: int = 4) -> None:
        super().__init__()

        def down(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(1, outputs), nn.GELU()]

        self.layers = nn.Sequential(
            *down(6, width // 4),
            nn.Conv2d(width // 4, width // 4, 3, padding=1),
            nn.GELU(),
            *down(width // 4, width // 2),
            ConvBlock(width // 2),
            *down(width // 2, width),
            *(ConvBlock(width) for _ in range(depth)),
            SamLayerNorm(width, data_format="channels_first"),
        )

    def forward(
        self, pixels: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b c s//8 s//8"], Float[Tensor, "b c s//8 s//8"]]:
        """(B, 3, S, S) normalised pixels to (B, width, S/8, S/8), twice, as SAM's encoders."""
        coarse = F.avg_pool2d(pixels, self.window, 1, self.window // 2, count_include_pad=False)
        embedding = self.layers(torch.cat([pixels, self.gain * (pixels - coarse)], dim=1))
        return embedding, embedding


def scratch_vit(size: int) -> VitEncoder:
    """SAM's own image encoder with random weights, stride 16.

    transformers starts these layers at a scale of 1e-10, which suits loading weights only; from
    scratch they need torch's usual one.
    """
    encoder = VitEncoder(VitConfig(), size)
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
    return encoder


class Surrogate(nn.Module):
    """Image encoder, prompt encoder and mask decoder, all trainable.

    Args:
        kind: ``vit_b`` or ``small``.
        size: side of the square input, pixels.
        width: channels of the small encoder's embedding; ``vit_b`` has SAM's 256.

    Raises:
        UnsegError: for an unknown kind or a size that the encoder's stride does not divide.
    """

    def __init__(self, kind: str = "small", size: int = 192, width: int = 64) -> None:
        super().__init__()
        if kind not in ("small", "vit_b"):
            raise UnsegError(f"no surrogate named {kind}; there are small, vit_b")
        stride = ConvEncoder.stride if kind == "small" else PATCH
        if size % stride:
            raise UnsegError(f"surrogate_size is {size}: use a multiple of {stride}")
        width = width if kind == "small" else 256
        config = SamConfig(
            vision_config={
                "image_size": size, "patch_size": stride,
                "output_channels": width, "num_pos_feats": width // 2,
            },
            prompt_encoder_config={
                "hidden_size": width, "image_size": size, "patch_size": stride,
            },
        )  # fmt: skip
        decoder_config = SamMaskDecoderConfig(
            hidden_size=width, mlp_dim=8 * width, iou_head_hidden_dim=width,
            num_attention_heads=8 if width >= 128 else 4,
        )  # fmt: skip
        decoder_config._attn_implementation = "sdpa"
        self.size, self.embedding_side = size, size // stride
        self.encoder = ConvEncoder(width) if kind == "small" else scratch_vit(size)
        self.prompt_encoder = SamPromptEncoder(config)
        # Its scale of hidden_size/2 makes the Fourier features of neighbouring cells unrelated
        # at this width; SAM's released matrix has a standard deviation of about one.
        nn.init.normal_(self.prompt_encoder.shared_embedding.positional_embedding)
        self.prompt_encoder.shared_embedding.positional_embedding.requires_grad_(False)
        self.mask_decoder = SamMaskDecoder(decoder_config)

    @property
    def grid(self) -> int:
        """Side of the output and of a mask prompt: four times the embedding's."""
        return 4 * self.embedding_side

    def forward(
        self, image: Float[Tensor, "b 3 s s"], prompts: Prompts
    ) -> Float[Tensor, "b 1 g g"]:
        """Segment.

        Args:
            image: (B, 3, S, S), float, in [0, 255].
            prompts: a batch of B.

        Returns:
            (B, 1, G, G) mask logits.
        """
        embedding, _ = self.encoder((image - CENTRE) / SPREAD)
        sparse, dense = self.prompt_encoder(
            prompts.points, prompts.labels, prompts.boxes, prompts.masks
        )
        positions = dense_positions(self.prompt_encoder, self.embedding_side)
        positions = positions.expand(len(embedding), -1, -1, -1)
        masks, _ = self.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense.expand(len(embedding), -1, -1, -1),
            multimask_output=False,
        )
        return masks[:, 0]

    def parts(self) -> list[tuple[list[nn.Parameter], float]]:
        """Trainable parameters, and the share of the learning rate that they train at."""
        return [([p for p in self.parameters() if p.requires_grad], 1.0)]


class PyramidSurrogate(nn.Module):
    """A pretrained backbone under a feature pyramid; it takes no prompts.

    Args:
        backbone: name in :data:`~unseg.models.backbones.BACKBONES`.
        size: side of the square input, pixels, a multiple of 32.
        width: channels of the pyramid.
        pretrained: start from pretrained weights.

    Raises:
        UnsegError: for such a size, or when the weights are missing.
    """

    def __init__(
        self, backbone: str, size: int = 256, width: int = 64, *, pretrained: bool = True
    ) -> None:
        super().__init__()
        if size % 32:
            raise UnsegError(f"surrogate_size is {size}: use a multiple of 32")
        self.size = size
        self.network = PyramidNetwork(BACKBONES[backbone](pretrained=pretrained), width, 1)

    @property
    def grid(self) -> int:
        """Side that a mask prompt would have."""
        return self.size // 4

    def forward(
        self, image: Float[Tensor, "b 3 s s"], prompts: Prompts
    ) -> Float[Tensor, "b 1 _ _"]:
        """Segment; see :meth:`Surrogate.forward`."""
        mean, std = (image.new_tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
        return self.network((image / 255 - mean) / std)

    def parts(self) -> list[tuple[list[nn.Parameter], float]]:
        """Trainable parameters, and the share of the learning rate that they train at."""
        backbone = list(self.network.backbone.parameters())
        return [(self.network.decoder_parameters(), 1.0), (backbone, BACKBONE_SHARE)]


def build_surrogate(name: str, size: int, width: int) -> Surrogate | PyramidSurrogate:
    """A surrogate by name; random weights follow from torch's seed."""
    if name in SAM_SHAPED:
        return Surrogate(name, size, width)
    return PyramidSurrogate(name, size, width)
