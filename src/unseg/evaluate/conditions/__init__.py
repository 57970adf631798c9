"""Conditions: what the training images become. A new one is one file and one line here.

:func:`unseg.evaluate.conditions.build.build_condition` makes one from a name on the command line.
"""

from __future__ import annotations

from unseg.evaluate.conditions.base import Condition
from unseg.registry import Registry, Spec

_HERE = "unseg.evaluate.conditions"

CONDITIONS: Registry[Condition] = Registry(
    "condition",
    Condition,
    {
        "clean": f"{_HERE}.clean:Clean",
        "random": f"{_HERE}.uniform:Uniform",
        "gaussian": f"{_HERE}.gaussian:Gaussian",
        "constant": f"{_HERE}.constant:Constant",
        "pattern": f"{_HERE}.pattern:Pattern",
        "lsp": f"{_HERE}.lsp:LinearlySeparable",
        "texture": f"{_HERE}.texture:Texture",
        "em": f"{_HERE}.em:ErrorMinimising",
        "ar": f"{_HERE}.ar:Autoregressive",
        # Hand-made as well, but as hard to see as ours: what learning has to beat.
        "stripes": f"{_HERE}.stripes:StripesInMask",
        "stripes-low": Spec(f"{_HERE}.stripes:StripesInMask", {"visibility": "low"}),
        "stripes-strong": Spec(f"{_HERE}.stripes:StripesInMask", {"visibility": "strong"}),
        "unseg": f"{_HERE}.unseg:Unseg",
        "unseg-class": Spec(f"{_HERE}.unseg:Unseg", {"target": "class"}),
        "unseg-instance": Spec(f"{_HERE}.unseg:Unseg", {"target": "instance"}),
        "unseg-tint": Spec(f"{_HERE}.unseg:Unseg", {"noises": ("tint", "generator")}),
        "unseg-low": Spec(f"{_HERE}.unseg:Unseg", {"visibility": "low"}),
        "unseg-strong": Spec(f"{_HERE}.unseg:Unseg", {"visibility": "strong"}),
        "unseg-class-strong": Spec(
            f"{_HERE}.unseg:Unseg", {"target": "class", "visibility": "strong"}
        ),
        # Ours where the owner gives no masks, or boxes.
        "unseg-salient": f"{_HERE}.proposed:Salient",
        "unseg-found": f"{_HERE}.proposed:FoundMasks",
        "unseg-proposed": f"{_HERE}.proposed:Proposed",
        "unseg-boxes": f"{_HERE}.proposed:Boxed",
    },
)

BASELINES = tuple(name for name in CONDITIONS if not name.startswith(("unseg", "stripes")))
"""Those that need no generator and use the whole bound."""
STRIPES = tuple(name for name in CONDITIONS if name.startswith("stripes"))
"""Those that need no generator and are as hard to see as ours."""

__all__ = ["BASELINES", "CONDITIONS", "STRIPES", "Condition"]
