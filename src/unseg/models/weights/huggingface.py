"""A Hugging Face folder of a SamModel: config.json and model.safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from unseg.errors import UnsegError
from unseg.models.weights.io import read_tensors
from unseg.models.weights.layout import State, vit_design
from unseg.models.weights.source import Source
from unseg.provenance import sha256_file

EXPECTED = (
    "expected config.json (model_type sam) and model.safetensors, as in facebook/sam-vit-base"
)

_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"


def read(folder: Path) -> Source:
    """Read a folder.

    Raises:
        UnsegError: when a file is missing or damaged, or the model is no SAM.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UnsegError(f"{folder} has no {name}: {EXPECTED}")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        kind = config.get("model_type")
    except (ValueError, AttributeError) as error:
        raise UnsegError(
            f"{folder / 'config.json'} is not a JSON object ({error}): {EXPECTED}"
        ) from (error)
    if kind != "sam":
        raise UnsegError(f"{folder / 'config.json'} describes a {kind!r} model: {EXPECTED}")
    path = folder / "model.safetensors"
    tensors, _ = read_tensors(path, EXPECTED)
    state = _ours(tensors)
    return Source("huggingface", state, vit_design(state, str(path)), sha256_file(path))


def _ours(tensors: State) -> State:
    # The position encoding is one parameter under two names; files keep either or both.
    shared = tensors.pop("shared_image_embedding.positional_embedding", None)
    state = {
        f"encoder.{name.removeprefix('vision_encoder.')}"
        if name.startswith("vision_encoder.")
        else name: value
        for name, value in tensors.items()
    }
    if shared is not None:
        state.setdefault(_POSITIONS, shared)
    return state
