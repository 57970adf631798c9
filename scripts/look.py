"""Draw the picture of the README: a face and white clothes at 100 %, and their noise.

    python scripts/look.py data/corpus/ccp -o docs/img/look.png

Original, protected at the default, noise times 16. The astronaut is NASA's (public domain, from
scikit-image), the other photograph is 0565 of Clothing Co-Parsing (Apache-2.0).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import unseg
from unseg.key import Key
from unseg.report.panels import amplified

#: Height and width of a cut.
CUT = (260, 240)


def row(
    protector: unseg.Protector,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    top: int,
    left: int,
) -> NDArray[np.uint8]:
    """Original, protected and noise, each a cut of the pixels as they are."""
    found = protector.protect(image, mask)
    sys.stdout.write(f"{found.visibility_score:.1f}: {found.seen}\n")
    after = np.asarray(found.image)
    here = slice(top, top + CUT[0]), slice(left, left + CUT[1])
    before, after = image[here], after[here]
    return np.concatenate([before, after, amplified(before, after, 16)], axis=1)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ccp", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    protector = unseg.Protector.from_pretrained(key=Key.of_text("unseg demo"))
    astronaut = np.asarray(data.astronaut())
    person = np.zeros(astronaut.shape[:2], bool)
    person[20:, 30:420] = True
    street = np.asarray(Image.open(given.ccp / "im" / "0565.jpg").convert("RGB"))
    clothes = np.asarray(Image.open(given.ccp / "gt" / "0565.png")) > 0
    rows = [row(protector, astronaut, person, 0, 110), row(protector, street, clothes, 20, 28)]
    Image.fromarray(np.concatenate(rows)).save(given.output, optimize=True)


if __name__ == "__main__":
    main()
