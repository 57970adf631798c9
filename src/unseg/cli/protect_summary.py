"""What ``unseg protect`` prints when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unseg.cli.shown import plain, say

if TYPE_CHECKING:
    from unseg.protect.folder_report import FolderReport


def print_summary(report: FolderReport) -> None:
    """Print a table of figures, and a sentence on each thing to look at."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unseg.masks.named import named_text

    totals, settings = report.totals, report.description["settings"]
    table = Table(show_header=False, title=Text(plain(f"unseg protect: {report.out}")))
    sources = ", ".join(f"{count} {name}" for name, count in totals["mask_sources"].items())
    silent = settings["silent"]

    def figure(value: float | None, unit: str = "") -> str:
        return "-" if value is None else f"{value:g}{unit}"

    rows = {
        "protected": f"{totals['protected']} of {totals['images']}",
        "left as they are: no foreground": str(totals["unchanged"] or ""),
        "kept from an earlier run": str(totals["kept_from_earlier_run"] or ""),
        "errors": str(totals["errors"] or ""),
        "masks from": sources,
        "found": named_text(totals.get("found", {})),
        "not in --masks": str(totals["without_mask_file"] or ""),
        "with warnings": str(totals["with_warnings"] or ""),
        "files that are not images": str(totals["ignored_files"] or ""),
        "classes without noise": "" if isinstance(silent, str) else ", ".join(map(str, silent)),
        "largest change inside": figure(totals["largest_change_inside"], " steps"),
        "largest change outside": figure(totals["largest_change_outside"], " steps"),
        "16-bit images with steps of their own range": str(totals["part_of_range"] or ""),
        "visibility": seen(totals),
        "mean PSNR": figure(totals["mean_psnr"], " dB"),
        "seconds per image": figure(totals["seconds_per_image"]),
        "model": report.description["model"],
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, Text(plain(text)))  # user text is no markup
    Console().print(table)
    for line in _advice(report):
        say(line)


def made_key(report: FolderReport) -> str:
    """A sentence on a key that was made for this run; empty where it was there already."""
    if report.made_key is None:
        return ""
    return (
        f"made your key, {report.made_key}: the noise follows from it, so keep it to yourself, and "
        "a copy of it until these images are finished; no one needs it to check them"
    )


def seen(totals: dict[str, Any]) -> str:
    """What people see of the noise: on average, and where they see most."""
    from unseg.protect.judge import words_of

    mean, lowest = totals["mean_visibility"], totals["lowest_visibility"]
    if mean is None or lowest is None:
        return ""
    return f"{words_of(mean)} ({mean:.0f}); at worst {words_of(lowest)} ({lowest:.0f})"


def _advice(report: FolderReport) -> list[str]:
    """What the owner should look at, a sentence each."""
    totals = report.totals
    lines = [said] if (said := made_key(report)) else []
    guessed = sum(
        count
        for name, count in totals["mask_sources"].items()
        if name not in {"file", "boxes", "clicked", "given"}
    )
    if guessed:
        # Of a single image no mask is stored.
        folder = isinstance(report.out, str) or report.out.is_dir()
        look = f"Look at {report.out}/unseg-masks; " if folder else ""
        lines.append(
            f"{guessed} images had no mask from you, so whatever was found was protected, which "
            f"protects less. {look}unseg masks draws masks from boxes, or writes what was found "
            "for you to correct, and --masks uses them"
        )
    if grey := totals["noises"].get("grey", 0):
        lines.append(
            f"{grey} colour files hold grey pixels and got grey noise, so that they stay grey. On "
            "microscopy that protected nothing where it was measured; --tint adds a colour that did"
        )
    if totals["lossy"]:
        lines.append(
            f"JPEG keeps {totals['mean_survival']:.0%} of the noise in {totals['lossy']} images "
            f"(correlation; {totals['least_survival']:.0%} at least). With JPEG's own rounding the "
            f"largest change is {totals['largest_change_inside']:g} steps inside masks and "
            f"{totals['largest_change_outside']:g} outside"
        )
    if totals["with_location"]:
        lines.append(
            f"{totals['with_location']} images say where they were taken, as the originals do: "
            "--strip gps leaves that out"
        )
    for text, names in report.warnings.items():
        lines.append(f"warning: {text}: {len(names)} (first: {names[0]})")
    if totals["unchanged"] and not totals["protected"]:
        lines.append(
            "no image was protected: no mask has a foreground; check --classes, --void and "
            "--background"
        )
    return lines
