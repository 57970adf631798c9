"""SAM's own ViT image encoder: transformers' SamVisionEncoder, returning an early feature too.

Apart from its shape, since importing it takes seconds that only those need who use it.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from unseg.models.sam.vit import PATCH, VitConfig


class VitEncoder(SamVisionEncoder):
    """SAM's ViT.

    Args:
        config: the model's shape.
        image_size: side of the input, a multiple of 16; the position tables have its size.
    """

    def __init__(self, config: VitConfig, image_size: int) -> None:
        super().__init__(
            SamVisionConfig(
                hidden_size=config.hidden_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                mlp_dim=config.mlp_dim,
                window_size=config.window,
                global_attn_indexes=list(config.global_layers),
                output_channels=config.output_channels,
                image_size=image_size,
                patch_size=PATCH,
            )
        )
        self.early_layer = min(config.global_layers, default=0)

    def forward(
        self, pixel_values: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b c g g"], Float[Tensor, "b _c e e"]]:
        """Encode images.

        Args:
            pixel_values: (B, 3, S, S), float, normalised.

        Returns:
            The embedding (B, output_channels, S/16, S/16) and the tokens after the first block
            with global attention (B, hidden_size, S/16, S/16).
        """
        hidden = self.patch_embed(pixel_values) + self.pos_embed
        early = hidden
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if index == self.early_layer:
                early = hidden
        return self.neck(hidden), early.permute(0, 3, 1, 2)
