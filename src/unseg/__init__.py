"""Make images useless as training data for segmentation (UnSeg, arXiv 2410.09909)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.noise import Budget
    from unseg.protect.dataset import protect_dataset
    from unseg.protect.draw import draw_masks
    from unseg.protect.folder import protect_folder
    from unseg.protect.protector import Protector
    from unseg.protect.result import Protected
    from unseg.protect.settings import Settings
    from unseg.protect.verify import verify_folder

#: Loaded on first use: ``import unseg`` alone must not wait for torch.
_LAZY = {
    "Budget": "unseg.noise",
    "Protected": "unseg.protect.result",
    "Protector": "unseg.protect.protector",
    "Settings": "unseg.protect.settings",
    "draw_masks": "unseg.protect.draw",
    "protect_dataset": "unseg.protect.dataset",
    "protect_folder": "unseg.protect.folder",
    "verify_folder": "unseg.protect.verify",
}

__all__ = [
    "Budget",
    "Protected",
    "Protector",
    "Settings",
    "UnsegError",
    "draw_masks",
    "protect_dataset",
    "protect_folder",
    "verify_folder",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'unseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
