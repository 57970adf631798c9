"""Published PyTorch checkpoints: MobileSAM's .pt and Meta's .pth, told apart by their names."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from unseg.errors import UnsegError
from unseg.models.weights.layout import State
from unseg.models.weights.source import first_line

EXPECTED = (
    "expected a state dict in SAM's published layout (image_encoder.*, prompt_encoder.*, "
    "mask_decoder.*), as in MobileSAM's mobile_sam.pt or Meta's sam_vit_b_01ec64.pth"
)


def read_state(path: Path) -> State:
    """Load a checkpoint's state dict without running any code that it may carry.

    Raises:
        UnsegError: when the file is truncated, damaged, holds more than tensors, or is not in
            SAM's published layout.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsegError(
            f"{path} holds more than tensors or is damaged, so it is not opened "
            f"({first_line(error)}): {EXPECTED}"
        ) from error
    # torch raises several unrelated types for broken archives; all mean the same here.
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise UnsegError(
            f"{path} is a truncated or damaged PyTorch file ({first_line(error)}): {EXPECTED}; "
            "download it again"
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise UnsegError(f"{path} holds a {type(content).__name__}: {EXPECTED}")
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    missing = [
        part
        for part in ("image_encoder.", "prompt_encoder.", "mask_decoder.")
        if not any(name.startswith(part) for name in state)
    ]
    if missing:
        names = ", ".join(list(map(str, content))[:3])
        raise UnsegError(f"{path} has no {missing[0]}* (it starts with {names}): {EXPECTED}")
    return state
