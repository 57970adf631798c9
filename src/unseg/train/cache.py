"""Embeddings of the frozen encoder, on disk, keyed by image, model and size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unseg.files import write_atomically
from unseg.models.geometry import letterbox
from unseg.models.sam.base import Features, SamBase
from unseg.models.weights.io import module_sha256


class FeatureCache:
    """Frozen features by content.

    Args:
        folder: where to keep them; None keeps nothing.
        base: the frozen SAM.

    A file's name is the checksum of the pixels; its folder names the checksum of the encoder and
    the input size, so a changed image or model is simply not found and computed anew. A file that
    cannot be read is computed anew, too.
    """

    def __init__(self, folder: Path | None, base: SamBase) -> None:
        self.base = base
        self.folder = None
        if folder is not None:
            key = f"{module_sha256(base.encoder)[:16]}-{base.image_size}"
            self.folder = folder / key
            self.folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def features(self, image: Tensor) -> Features:
        """Embedding and early feature of an image.

        Args:
            image: (3, h, w) uint8.

        Returns:
            float16 on the CPU when cached, with a batch dimension of one.
        """
        if self.folder is None:
            return self._compute(image)
        pixels = image.contiguous().numpy()
        name = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            try:
                found = load_file(path)
                return Features(embedding=found["embedding"], early=found["early"])
            except (SafetensorError, KeyError, OSError):
                path.unlink(missing_ok=True)
        features = self._compute(image)
        half = Features(embedding=features.embedding.half(), early=features.early.half())
        # Several processes may fill the same cache: each writes its own file, the last wins.
        tensors = {"embedding": half.embedding, "early": half.early}
        write_atomically(path, lambda file: save_file(tensors, file))
        return half

    def _compute(self, image: Tensor) -> Features:
        device = next(self.base.parameters()).device
        pixels, _ = letterbox(image[None].float().to(device), self.base.image_size)
        features = self.base.encode(pixels)
        return Features(
            embedding=features.embedding.cpu().contiguous(), early=features.early.cpu().contiguous()
        )
