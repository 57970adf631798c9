"""MobileSAM's public checkpoint layout (mobile_sam.pt), with batch norms."""

from __future__ import annotations

from pathlib import Path

from unseg.errors import UnsegError
from unseg.models.sam.base import architecture
from unseg.models.weights.layout import State, from_published
from unseg.models.weights.source import Source
from unseg.provenance import sha256_file


def matches(state: State) -> bool:
    """Whether a published state dict has MobileSAM's encoder."""
    return any(name.startswith("image_encoder.patch_embed.seq.") for name in state)


def read(path: Path, state: State) -> Source:
    """Fold the batch norms and take our names.

    Raises:
        UnsegError: when a batch norm lacks one of its tensors.
    """
    try:
        renamed = from_published(state, "mobile_sam")
    except KeyError as error:
        raise UnsegError(
            f"{path} has no image_encoder.{error.args[0]}: expected a complete batch norm (weight, "
            "bias, running_mean, running_var) after every convolution; the file is damaged"
        ) from error
    return Source("mobile_sam .pt", renamed, architecture("mobile_sam"), sha256_file(path))
