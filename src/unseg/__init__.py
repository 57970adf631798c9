"""Make images useless as training data for segmentation (UnSeg, arXiv 2410.09909)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unseg.noise import Budget
    from unseg.protect.protector import Protector

__all__ = ["Budget", "Protector"]

#: Loaded on first use: ``import unseg`` alone must not wait for torch.
_LAZY = {"Budget": "unseg.noise", "Protector": "unseg.protect.protector"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'unseg' has no attribute {name!r}")
