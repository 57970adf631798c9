"""``unseg demo``: protect real photographs that need no download, and draw what changed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from unseg.cli.shown import say
from unseg.errors import UnsegError
from unseg.extras import require


@dataclass(frozen=True)
class Photograph:
    """A photograph inside scikit-image's wheel.

    Args:
        file: its name in ``skimage/data``.
        title: what it shows, and by whom.
        licence: why it may be used.
    """

    file: str
    title: str
    licence: str


# Read as files: skimage.data's functions may download. The licences are those that the
# functions' documentation states.
PHOTOGRAPHS = (
    Photograph("astronaut.png", "Eileen Collins, NASA", "public domain"),
    Photograph("camera.png", "Man with a camera, Lav Varshney", "CC0"),
    Photograph("chelsea.png", "Chelsea the cat, Stefan van der Walt", "CC0"),
    Photograph("clock_motion.png", "Wall clock, Stefan van der Walt", "public domain"),
    Photograph("coffee.png", "Cup of coffee, Rachel Michetti", "CC0"),
    Photograph("hubble_deep_field.jpg", "Hubble eXtreme Deep Field, NASA", "public domain"),
    Photograph("retina.jpg", "Human retina, Wikimedia Commons", "CC0"),
    Photograph("rocket.jpg", "Launch of DSCOVR, SpaceX", "public domain"),
)


#: Text of the demo's key: public, as its photographs are, so that everybody gets its pictures.
PUBLIC_KEY = "unseg demo"


def copy_photographs(folder: Path) -> None:
    """Copy the photographs, byte for byte, into a folder that is made if need be.

    Raises:
        UnsegError: when scikit-image or one of its files is missing.
    """
    from importlib.util import find_spec

    require("demo", "unseg demo")
    spec = find_spec("skimage")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for photograph in PHOTOGRAPHS:
        path = source / photograph.file
        if not path.is_file():
            raise UnsegError(
                f"{path} is missing: this scikit-image does not ship it; install "
                "scikit-image 0.25 or newer"
            )
        shutil.copyfile(path, folder / photograph.file)


def draw_panels(out: Path) -> Path:
    """Draw a panel for every protected photograph, and all of them on one sheet.

    Args:
        out: the demo's folder, with originals/ and protected/.

    Returns:
        The contact sheet's file.
    """
    from PIL import Image

    from unseg.protect.manifest import Manifest
    from unseg.report.panels import contact_sheet, panel

    titles = {photograph.file: photograph.title for photograph in PHOTOGRAPHS}
    records, _ = Manifest(out / "protected").read()
    panels = []
    (out / "panels").mkdir(exist_ok=True)
    for record in records:
        if record.mask is None:
            continue
        with (
            Image.open(out / "originals" / record.source) as before,
            Image.open(out / "protected" / record.output) as after,
            Image.open(out / "protected" / record.mask) as mask,
        ):
            # 8 steps at gain 16 use the whole range, from black to white around grey.
            one = panel(
                before, after, mask, gain=16, title=titles.get(record.source, record.source)
            )
        one.save(out / "panels" / f"{Path(record.source).stem}.png")
        panels.append(one)
    sheet = out / "contact-sheet.png"
    contact_sheet(panels).save(sheet)
    return sheet


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the photographs, the protected images and the panels.",
        ),
    ] = Path("demo-output"),
) -> None:
    """Protect eight public-domain photographs, verify them, and draw what changed.

    Needs no network, no GPU and no data. Running it again replaces what it wrote.

    Example:

      unseg demo -o demo-output
    """
    from rich.console import Console
    from rich.progress import Progress

    from unseg.cli.protect_summary import seen
    from unseg.key import Key
    from unseg.progress import Update
    from unseg.protect.folder import protect_folder
    from unseg.protect.settings import Settings
    from unseg.protect.verify import verify_folder

    originals, protected = out / "originals", out / "protected"
    try:
        copy_photographs(originals)
    except OSError as error:
        raise UnsegError(
            f"{out} cannot be written ({error}): choose another folder with -o"
        ) from error
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("protecting")

        def shown(update: Update) -> None:
            bar.update(task, completed=update.done, total=update.total)

        report = protect_folder(
            originals,
            protected,
            Settings(key=Key.of_text(PUBLIC_KEY)),
            existing="overwrite",
            progress=shown,
        )
        findings = verify_folder(protected, originals)
    for line in [r.error for r in report.errors] + [p.text for p in findings.problems]:
        say(f"unseg: {line}", error=True, colour="red")
    sheet = draw_panels(out)
    totals = report.totals
    say(f"photographs:   {originals}")
    say(f"protected:     {protected}")
    say(f"panels:        {out / 'panels'}")
    say(f"contact sheet: {sheet}")
    say(
        f"{totals['protected']} of {totals['images']} protected, {findings.checked} verified, "
        f"{len(findings.problems)} problems; {totals['seconds_per_image']} seconds per image, with "
        "masks that the models found"
    )
    say(f"visibility:    {seen(totals)} (SSIMULACRA2; 100 is no difference)")
    if not (report.ok and findings.ok):
        raise typer.Exit(1)
