"""Names of SAM's parameters: the published layout, and ours (transformers' names).

Pure renaming and folding of state dicts; reading files is the importers' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from unseg.errors import UnsegError
from unseg.models.sam.base import Architecture
from unseg.models.sam.vit import VitConfig

State = dict[str, Tensor]

# (pattern, replacement) on names of the published SAM, in order, for everything but the encoder.
_DECODER_NAMES = (
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
     "prompt_encoder.shared_embedding.positional_embedding"),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.)norm(\d)\.", r"\1layer_norm\2."),
    (r"^mask_decoder\.transformer\.norm_final_attn\.",
     "mask_decoder.transformer.layer_norm_final_attn."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)layers\.0\.",
     r"\1proj_in."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)layers\.2\.",
     r"\1proj_out."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)layers\.1\.",
     r"\1layers.0."),
)  # fmt: skip

_VIT_NAMES = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^blocks\.", "layers."),
    (r"^(layers\.\d+\.)norm(\d)\.", r"\1layer_norm\2."),
    (r"^neck\.0\.", "neck.conv1."),
    (r"^neck\.1\.", "neck.layer_norm1."),
    (r"^neck\.2\.", "neck.conv2."),
    (r"^neck\.3\.", "neck.layer_norm2."),
)

# MobileSAM's published file carries a classifier and, at times, derived tables.
_TINYVIT_UNUSED = re.compile(
    r"^(norm_head\.|head\.)|(\.attention_bias_idxs|\.ab|\.num_batches_tracked)$"
)


def rename(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """Apply the rules to one name, in order."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def from_published(state: State, encoder: str) -> State:
    """Turn the published layout (``image_encoder.*``, ``prompt_encoder.*`` ...) into ours.

    Args:
        state: published names to tensors.
        encoder: "mobile_sam" (batch norms are folded where there are any) or "vit_b".
    """
    image_encoder, rest = {}, {}
    for name, value in state.items():
        if name.startswith("image_encoder."):
            image_encoder[name.removeprefix("image_encoder.")] = value
        else:
            rest[rename(name, _DECODER_NAMES)] = value
    if encoder == "mobile_sam":
        kept = {k: v for k, v in image_encoder.items() if not _TINYVIT_UNUSED.search(k)}
        image_encoder = fold_batch_norms(kept)
    else:
        image_encoder = {rename(k, _VIT_NAMES): v for k, v in image_encoder.items()}
    return {f"encoder.{name}": value for name, value in image_encoder.items()} | rest


def fold_batch_norms(state: State, eps: float = 1e-5) -> State:
    """Merge every ``X.bn`` into the convolution ``X.c`` before it; other names pass unchanged.

    Args:
        state: names to tensors; ``X.c.weight`` (O, I, k, k) without bias next to ``X.bn.weight``,
            ``bias``, ``running_mean`` and ``running_var``.
        eps: the batch norms' epsilon.

    Raises:
        KeyError: when a batch norm lacks one of its tensors or its convolution.
    """
    folded = {k: v for k, v in state.items() if ".bn." not in k}
    for name in state:
        if not name.endswith(".bn.weight"):
            continue
        stem = name.removesuffix("bn.weight")
        mean, variance = (state[f"{stem}bn.running_{part}"].double() for part in ("mean", "var"))
        scale = state[name].double() / torch.sqrt(variance + eps)
        weight = state[f"{stem}c.weight"]
        folded[f"{stem}c.weight"] = (weight.double() * scale[:, None, None, None]).to(weight.dtype)
        bias = state[f"{stem}bn.bias"].double() - mean * scale
        folded[f"{stem}c.bias"] = bias.to(weight.dtype)
    return folded


def vit_design(state: State, where: str) -> Architecture:
    """The shape of a SAM ViT, from its tensors.

    Args:
        state: our names to tensors.
        where: how messages name the origin.

    Raises:
        UnsegError: when the encoder is not a SAM ViT.
    """
    try:
        grid = state["encoder.pos_embed"].shape[1]
        channels = state["encoder.patch_embed.projection.weight"].shape[0]
        tables: list[torch.Size] = []
        while f"encoder.layers.{len(tables)}.attn.rel_pos_h" in state:
            tables.append(state[f"encoder.layers.{len(tables)}.attn.rel_pos_h"].shape)
        # A block's table has 2 s - 1 rows for a side of s tokens, and one column per head channel.
        sides = [(length + 1) // 2 for length, _ in tables]
        encoder = VitConfig(
            hidden_size=channels,
            layers=len(tables),
            heads=channels // tables[0][1],
            mlp_dim=state["encoder.layers.0.mlp.lin1.weight"].shape[0],
            window=min(sides),
            global_layers=tuple(i for i, side in enumerate(sides) if side == grid),
            output_channels=state["encoder.neck.conv1.weight"].shape[0],
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise UnsegError(
            f"{where}: the image encoder is not a SAM ViT ({error} is missing or has "
            "another shape): expected position tables and blocks with relative positions, as in "
            "sam_vit_b"
        ) from error
    return Architecture("vit_b", encoder)
