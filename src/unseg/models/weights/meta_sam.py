"""Meta's public checkpoint layout (sam_vit_b_01ec64.pth)."""

from __future__ import annotations

from pathlib import Path

from unseg.models.weights.layout import State, from_published, vit_design
from unseg.models.weights.source import Source
from unseg.provenance import sha256_file


def matches(state: State) -> bool:
    """Whether a published state dict has a SAM ViT encoder."""
    return any(name.startswith("image_encoder.patch_embed.proj.") for name in state)


def read(path: Path, state: State) -> Source:
    """Take our names; the encoder's shape follows from its tensors.

    Raises:
        UnsegError: when the encoder is not a SAM ViT.
    """
    renamed = from_published(state, "vit_b")
    return Source("sam .pth", renamed, vit_design(renamed, str(path)), sha256_file(path))
