"""Tensors on their way to a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; to a GPU from pinned memory, so that nobody waits for it.

    What comes back is waited for: the processor needs it at once. Streams of their own for the
    copies were left out, as an image's nine megabytes take a millisecond and its judging, encoding
    and checking, which stay on the processor, some hundred.
    """
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
