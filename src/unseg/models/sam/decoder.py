"""SAM's prompt encoder and mask decoder (Kirillov et al., Segment Anything, 2023), for inference.

Parameters have the names of transformers' ``SamPromptEncoder`` and ``SamMaskDecoder``, and a test
holds the results to theirs. They are written out here because importing those takes longer than
protecting a photograph, and because many prompts for one image share most of the work: what does
not depend on the prompt is computed once, and masks are drawn only for prompts that want one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

#: Labels of points: on the object, off it, no point, and padding, which counts for nothing.
ON, OFF, NO_POINT, PADDING = 1, 0, -1, -10
_HEADS, _LAYERS, _MLP, _REDUCED, _MASK_CHANNELS = 8, 2, 2048, 2, 16


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FeedForward(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        inputs: channels.
        hidden: channels between the layers.
        outputs: channels.
        layers: how many, at least two.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(inputs, hidden)
        self.proj_out = nn.Linear(hidden, outputs)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.proj_in(x))
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.proj_out(x)


class PositionalEmbedding(nn.Module):
    """Fourier features of places: sine and cosine of random frequencies."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(2, features))

    def forward(self, places: Float[Tensor, "... 2"]) -> Float[Tensor, "... c"]:
        """Places (..., 2), x then y, in 0..1, to (..., 2 * features)."""
        turns = (2 * places - 1).to(self.positional_embedding.dtype) @ self.positional_embedding
        turns = 2 * math.pi * turns
        return torch.cat([turns.sin(), turns.cos()], dim=-1)


class MaskEmbedding(nn.Module):
    """A mask prompt to the embedding's grid, a quarter of its side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = _MASK_CHANNELS // 4
        self.conv1 = nn.Conv2d(1, few, 2, 2)
        self.conv2 = nn.Conv2d(few, _MASK_CHANNELS, 2, 2)
        self.conv3 = nn.Conv2d(_MASK_CHANNELS, channels, 1)
        self.layer_norm1 = ChannelNorm(few)
        self.layer_norm2 = ChannelNorm(_MASK_CHANNELS)

    def forward(self, masks: Tensor) -> Tensor:
        x = F.gelu(self.layer_norm1(self.conv1(masks)))
        return self.conv3(F.gelu(self.layer_norm2(self.conv2(x))))


class PromptEncoder(nn.Module):
    """Points, boxes and masks to what the decoder attends to.

    Args:
        channels: of the embedding.
        image_size: side of the model's input in pixels, in which points and boxes are given.
    """

    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        self.shared_embedding = PositionalEmbedding(channels // 2)
        self.mask_embed = MaskEmbedding(channels)
        self.no_mask_embed = nn.Embedding(1, channels)
        self.image_embedding_size = (image_size // 16, image_size // 16)
        self.input_image_size = image_size
        self.point_embed = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, channels)

    def forward(
        self,
        input_points: Float[Tensor, "b n k 2"] | None,
        input_labels: Num[Tensor, "b n k"] | None,
        input_boxes: Float[Tensor, "b n 4"] | None,
        input_masks: Float[Tensor, "_b2 1 g g"] | None,
    ) -> tuple[Float[Tensor, "b n t c"] | None, Float[Tensor, "_b3 c _h _w"]]:
        """Encode prompts; all coordinates are model-input pixels.

        Args:
            input_points: (B, n, k, 2), x then y.
            input_labels: (B, n, k): :data:`ON`, :data:`OFF`, :data:`NO_POINT` or :data:`PADDING`.
            input_boxes: (B, n, 4), x1 y1 x2 y2.
            input_masks: (B, 1, G, G), logits on four times the embedding's grid.

        Returns:
            Tokens (B, n, t, C), None without points and boxes, and what is added to the image
            embedding, (B, C, g, g).

        Raises:
            ValueError: when points come without labels.
        """
        sparse, batch = None, 1
        if input_points is not None:
            if input_labels is None:
                raise ValueError("points were given without labels: give a label for every point")
            batch = len(input_points)
            sparse = self._points(input_points, input_labels, alone=input_boxes is None)
        if input_boxes is not None:
            batch = len(input_boxes)
            corners = self._corners(input_boxes)
            sparse = corners if sparse is None else torch.cat([sparse, corners], dim=2)
        if input_masks is not None:
            return sparse, self.mask_embed(input_masks)
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return sparse, dense.expand(batch, -1, *self.image_embedding_size)

    def _points(self, points: Tensor, labels: Tensor, *, alone: bool) -> Tensor:
        """Tokens of points; where there is no box, one more that is no point."""
        places = (points + 0.5) / self.input_image_size  # a pixel's centre
        if alone:
            places = F.pad(places, (0, 0, 0, 1))
            labels = F.pad(labels, (0, 1), value=NO_POINT)
        tokens, kind = self.shared_embedding(places), labels[..., None]
        tokens = torch.where(kind == NO_POINT, self.not_a_point_embed.weight, tokens)
        tokens = torch.where(kind == PADDING, torch.zeros_like(tokens), tokens)
        for label in (OFF, ON):
            known: Tensor = self.point_embed[label].weight  # type: ignore[assignment]
            tokens = torch.where(kind == label, tokens + known, tokens)
        return tokens

    def _corners(self, boxes: Tensor) -> Tensor:
        corners = (boxes + 0.5).unflatten(-1, (2, 2)) / self.input_image_size
        first, second = (self.point_embed[i].weight for i in (2, 3))
        return self.shared_embedding(corners) + torch.cat([first, second])  # type: ignore[list-item]


class PromptAttention(nn.Module):
    """Attention with fewer channels inside; inputs are (B, n, tokens, C).

    Args:
        channels: C.
        reduced: by what factor there are fewer inside.
    """

    def __init__(self, channels: int, reduced: int = _REDUCED) -> None:
        super().__init__()
        inner = channels // reduced
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Where all prompts share the query or the key, n is 1 and projected once."""
        parts = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        prompts = max(part.shape[1] for part in parts)
        heads = (
            part.expand(-1, prompts, -1, -1).flatten(0, 1).unflatten(-1, (_HEADS, -1))
            for part in parts
        )
        mixed = F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in heads))
        joined = mixed.transpose(1, 2).flatten(2)
        return self.out_proj(joined.unflatten(0, (-1, prompts)))


class TwoWayBlock(nn.Module):
    """Tokens attend to each other and to the image, and the image to the tokens.

    Args:
        channels: of tokens and image.
        eps: of the layer norms.
        first: whether the tokens have no places of their own yet.
    """

    def __init__(self, channels: int, eps: float, *, first: bool) -> None:
        super().__init__()
        self.self_attn = PromptAttention(channels, 1)
        self.layer_norm1 = nn.LayerNorm(channels, eps=eps)
        self.cross_attn_token_to_image = PromptAttention(channels)
        self.layer_norm2 = nn.LayerNorm(channels, eps=eps)
        self.mlp = _Mlp(channels)
        self.layer_norm3 = nn.LayerNorm(channels, eps=eps)
        self.layer_norm4 = nn.LayerNorm(channels, eps=eps)
        self.cross_attn_image_to_token = PromptAttention(channels)
        self.first = first

    def forward(
        self, queries: Tensor, keys: Tensor, tokens: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Queries (B, n, t, C) and keys (B, 1 or n, g * g, C) to the same, of n."""
        if self.first:
            queries = self.self_attn(queries, queries, queries)
        else:
            query = queries + tokens
            queries = queries + self.self_attn(query, query, queries)
        queries = self.layer_norm1(queries)
        placed = keys + places
        seen = self.cross_attn_token_to_image(queries + tokens, placed, keys)
        queries = self.layer_norm2(queries + seen)
        queries = self.layer_norm3(queries + self.mlp(queries))
        told = self.cross_attn_image_to_token(placed, queries + tokens, queries)
        return queries, self.layer_norm4(keys + told)


class _Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(channels, _MLP)
        self.lin2 = nn.Linear(_MLP, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayTransformer(nn.Module):
    """Two blocks, and a last look of the tokens at the image."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(channels, eps, first=number == 0) for number in range(_LAYERS)
        )
        self.final_attn_token_to_image = PromptAttention(channels)
        self.layer_norm_final_attn = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Float[Tensor, "b n t c"],
        image: Float[Tensor, "b c h w"],
        places: Float[Tensor, "_b2 c h w"],
    ) -> tuple[Float[Tensor, "b n t c"], Float[Tensor, "b n hw c"]]:
        """What became of the tokens, and of the image for each prompt.

        Args:
            tokens: (B, n, t, C).
            image: (B, C, h, w), of which the prompts know nothing yet.
            places: (1 or B, C, h, w), position encoding of its cells.
        """
        keys, placed = (one.flatten(2).transpose(1, 2).unsqueeze(1) for one in (image, places))
        queries = tokens
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, placed)
        seen = self.final_attn_token_to_image(queries + tokens, keys + placed, keys)
        return self.layer_norm_final_attn(queries + seen), keys


class MaskDecoder(nn.Module):
    """Masks of prompts, and how good it takes them to be.

    Args:
        channels: of the image embedding.
        eps: of the layer norms of the transformer's blocks.
        masks: for an ambiguous prompt; one more is for the others.
    """

    def __init__(self, channels: int, eps: float = 1e-5, masks: int = 3) -> None:
        super().__init__()
        self.num_mask_tokens = masks + 1
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, channels)
        self.transformer = TwoWayTransformer(channels, eps)
        self.upscale_conv1 = nn.ConvTranspose2d(channels, channels // 4, 2, 2)
        self.upscale_conv2 = nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2)
        self.upscale_layer_norm = ChannelNorm(channels // 4)
        self.output_hypernetworks_mlps = nn.ModuleList(
            FeedForward(channels, channels, channels // 8, 3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = FeedForward(channels, channels, self.num_mask_tokens, 3)

    def forward(
        self,
        image_embeddings: Float[Tensor, "b c h w"],
        image_positional_embeddings: Float[Tensor, "_b2 c h w"],
        sparse_prompt_embeddings: Float[Tensor, "b n t c"] | None,
        dense_prompt_embeddings: Float[Tensor, "_b3 c h w"],
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "b n m H W"], Float[Tensor, "b n m"]]:
        """Mask logits on four times the grid, and predicted IoU; three masks or one a prompt.

        Args:
            image_embeddings: (B, C, h, w).
            image_positional_embeddings: (1 or B, C, h, w).
            sparse_prompt_embeddings: (B, n, t, C), from the prompt encoder; None is one prompt.
            dense_prompt_embeddings: (1 or B, C, h, w), the same.
            multimask_output: whether three masks are wanted.
        """
        image, places = image_embeddings + dense_prompt_embeddings, image_positional_embeddings
        queries, keys = self.attend(image, places, sparse_prompt_embeddings)
        wanted = slice(1, None) if multimask_output else slice(0, 1)
        return self.draw(queries, keys, image.shape[-2:], wanted), self.quality(queries)[
            ..., wanted
        ]

    def attend(
        self,
        image: Float[Tensor, "b c h w"],
        places: Float[Tensor, "_b2 c h w"],
        sparse: Float[Tensor, "b n _t c"] | None,
        extra: Float[Tensor, "_e c"] | None = None,
    ) -> tuple[Float[Tensor, "b n _u c"], Float[Tensor, "b n hw c"]]:
        """The transformer: the decoder's own tokens, extra ones and the prompts' with the image."""
        own = [self.iou_token.weight, self.mask_tokens.weight]
        tokens = torch.cat(own if extra is None else [*own, extra])
        if sparse is None:
            return self.transformer(tokens.expand(len(image), 1, -1, -1), image, places)
        tokens = tokens.expand(*sparse.shape[:2], -1, -1)
        return self.transformer(torch.cat([tokens, sparse], dim=2), image, places)

    def quality(self, queries: Float[Tensor, "b n _t c"]) -> Float[Tensor, "b n m"]:
        """Predicted IoU of all masks."""
        return self.iou_prediction_head(queries[:, :, 0])

    def upscale(self, feature: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d H W"]:
        """The image as the tokens left it, at four times its side: (B, C/8, 4h, 4w)."""
        feature = F.gelu(self.upscale_layer_norm(self.upscale_conv1(feature)))
        return F.gelu(self.upscale_conv2(feature))

    def draw(
        self,
        queries: Float[Tensor, "b n _t c"],
        keys: Float[Tensor, "b n hw c"],
        shape: tuple[int, int] | torch.Size,
        wanted: slice,
        prompts: Bool[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "b _m k H W"]:
        """Logits (B, n, k, 4h, 4w) of the wanted masks, of all prompts or of some."""
        if prompts is not None:
            queries, keys = queries[:, prompts], keys[:, prompts]
        count = keys.shape[1]
        feature = keys.flatten(0, 1).transpose(1, 2).unflatten(2, tuple(shape))
        upscaled = self.upscale(feature)
        heads = list(self.output_hypernetworks_mlps)[wanted]
        tokens = queries[:, :, 1 : 1 + self.num_mask_tokens][:, :, wanted]
        weights = torch.stack([head(tokens[:, :, i]) for i, head in enumerate(heads)], dim=2)
        flat = upscaled.flatten(2).unflatten(0, (-1, count))
        return (weights @ flat).unflatten(-1, upscaled.shape[-2:])
