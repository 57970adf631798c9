"""The one table of image formats: what is read, what is written, and what masks may be.

A new format is a row here; whatever asks about a suffix or about first bytes asks this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

#: Bytes at the beginning of a file that say of what kind it is.
HEAD = 160

_COLOUR = "colour profile, density, EXIF"


@dataclass(frozen=True)
class Format:
    """A kind of image file.

    Args:
        name: Pillow's name of the format.
        suffixes: in lower case, the usual one first.
        read: whether images of this kind are read; others are named in an error.
        lossless: whether what is written is read back exactly.
        written: whether ``--format same`` writes it.
        masks: whether a mask may be stored so: a lossless kind that holds labels.
        begins: what such files begin with: an offset and bytes, of which one must be there.
        extra: what ``pip install 'unseg[...]'`` adds to read it; empty for nothing.
        partly: what of it takes an extra, for the documentation.
        kept: what is kept when the same kind is written, for the documentation.
    """

    name: str
    suffixes: tuple[str, ...]
    read: bool = True
    lossless: bool = True
    written: bool = False
    masks: bool = False
    begins: tuple[tuple[int, bytes], ...] = ()
    extra: str = ""
    partly: str = ""
    kept: str = ""


def _brands(*names: bytes) -> tuple[tuple[int, bytes], ...]:
    """How files of the ISO base media format begin that are of these brands."""
    return tuple((4, b"ftyp" + name) for name in names)


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), lossless=False, written=True,
            begins=((0, b"\xff\xd8\xff"),), kept=_COLOUR,
        ),
        Format(
            "PNG", (".png",), written=True, masks=True, begins=((0, b"\x89PNG\r\n\x1a\n"),),
            kept=f"{_COLOUR}, alpha, 16 bits, gamma and colour chunks",
        ),
        Format(
            "WEBP", (".webp",), written=True, begins=((8, b"WEBP"),),
            kept="colour profile, EXIF, alpha",
        ),
        Format(
            "TIFF", (".tif", ".tiff"), written=True, masks=True,
            begins=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
            partly="many bands, floating-point samples and rare compressions with `unseg[tiff]`",
            kept=f"{_COLOUR}, alpha, 16 bits, signed and floating-point samples, further bands, "
            "georeference, tags",
        ),
        Format("BMP", (".bmp",), masks=True, begins=((0, b"BM"),)),
        Format("GIF", (".gif",), begins=((0, b"GIF87a"), (0, b"GIF89a"))),
        Format(
            "PPM", (".ppm", ".pgm", ".pbm", ".pnm"),
            begins=tuple((0, b"P%d%c" % (n, c)) for n in range(1, 7) for c in b"\n\r \t"),
        ),
        Format("AVIF", (".avif",), begins=_brands(b"avif", b"avis")),
        Format(
            "HEIF", (".heic", ".heif", ".hif"), extra="heif",
            begins=_brands(b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"),
        ),
        Format(
            "DICOM", (".dcm", ".dicom"), written=True, extra="dicom", begins=((128, b"DICM"),),
            kept="every element but the pixels, the SOP instance UID and that it is derived",
        ),
        Format(
            "JPEG2000", (".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), read=False,
            begins=((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
        ),
        Format(
            "JPEG XL", (".jxl",), read=False,
            begins=((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL ")),
        ),
        Format("JPEG XR", (".jxr", ".wdp", ".hdp"), read=False, begins=((0, b"II\xbc\x01"),)),
        Format("PFM", (".pfm",), read=False, begins=((0, b"PF\n"), (0, b"Pf\n"))),
        Format("QOI", (".qoi",), read=False, begins=((0, b"qoif"),)),
        Format("XCF", (".xcf",), read=False, begins=((0, b"gimp xcf"),)),
        Format("PSD", (".psd", ".psb"), read=False, begins=((0, b"8BPS"),)),
        Format("EXR", (".exr",), read=False, begins=((0, b"v/1\x01"),)),
        Format("HDR", (".hdr",), read=False, begins=((0, b"#?RADIANCE"),)),
        Format(
            "RAW",
            (
                ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf",
                ".rw2", ".raf", ".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".erf", ".mef",
                ".mos", ".mrw", ".kdc", ".dcr", ".rwl", ".gpr",
            ),
            read=False,
            begins=((0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIU\0"), (4, b"ftypcrx ")),
        ),
        Format("NIfTI", (".nii", ".nii.gz"), read=False, begins=((0, b"\x5c\x01\0\0"),)),
        Format("NRRD", (".nrrd", ".nhdr", ".mha", ".mhd"), read=False, begins=((0, b"NRRD"),)),
        Format("FITS", (".fits", ".fit", ".fts"), read=False, begins=((0, b"SIMPLE  ="),)),
        Format("SVG", (".svg", ".svgz"), read=False, begins=((0, b"<svg"),)),
        Format("TGA", (".tga",), read=False),
        Format("ICO", (".ico", ".icns"), read=False),
        Format("APNG", (".apng",), read=False),
        Format("MPO", (".mpo",), read=False),
        Format("DDS", (".dds",), read=False, begins=((0, b"DDS "),)),
        Format("SGI", (".sgi", ".rgb", ".rgba"), read=False),
        Format("PCX", (".pcx",), read=False),
        Format(
            "microscopy",
            (".lsm", ".nd2", ".lif", ".oib", ".oif", ".ims", ".stk", ".dm3", ".dm4", ".mrc"),
            read=False,
        ),
        Format("whole slide", (".svs", ".ndpi", ".scn", ".mrxs", ".vsi", ".czi"), read=False),
    )
}  # fmt: skip


def suffixes(formats: Iterable[Format]) -> tuple[str, ...]:
    """The suffixes of some formats, in the table's order."""
    return tuple(suffix for one in formats for suffix in one.suffixes)


#: Suffixes of images that are read.
IMAGE_SUFFIXES = suffixes(one for one in FORMATS.values() if one.read)
#: Suffixes of masks and label maps; of several masks of one name, the first kind is taken.
MASK_SUFFIXES = suffixes(one for one in FORMATS.values() if one.masks)


def format_of(suffix: str) -> Format | None:
    """The format that a suffix stands for, whatever its case; None when it is no image's.

    Example:
        >>> format_of(".JPG").name, format_of(".txt")
        ('JPEG', None)
    """
    wanted = suffix.lower()
    return next((one for one in FORMATS.values() if wanted in one.suffixes), None)


def format_named(name: str) -> Format | None:
    """The format that a file's name says, by its suffix or by its last two.

    Example:
        >>> format_named("brain.nii.gz").name, format_named("a.b.JPG").name, format_named("notes")
        ('NIfTI', 'JPEG', None)
    """
    endings = [one.lower() for one in PurePath(name).suffixes]
    both = format_of("".join(endings[-2:])) if len(endings) > 1 else None
    return both or (format_of(endings[-1]) if endings else None)


def format_within(head: bytes) -> Format | None:
    """The format that a file's first bytes say; None when they are no image's.

    Args:
        head: the first :data:`HEAD` bytes, or more.

    Example:
        >>> format_within(bytes.fromhex("ffd8ffe0")).name, format_within(b"some text")
        ('JPEG', None)
    """
    for one in FORMATS.values():
        if any(head[at : at + len(mark)] == mark for at, mark in one.begins):
            if one.name == "BMP" and head[6:10] != bytes(4):  # two letters alone say little
                continue
            return one
    return None


def table() -> str:
    """The formats as a table in Markdown, for the documentation."""
    lines = ["| Kind | Named | Read | Written by `--format same` | Kept |", "|---|---|---|---|---|"]
    for one in FORMATS.values():
        read = "no: an error names the file"
        if one.read:
            read = f"with `unseg[{one.extra}]`" if one.extra else "yes"
            read += f"; {one.partly}" if one.partly else ""
        written = "yes" if one.written and one.lossless else "yes, lossy" if one.written else "no"
        named = " ".join(f"`{suffix}`" for suffix in one.suffixes)
        lines.append(f"| {one.name} | {named} | {read} | {written} | {one.kept or '-'} |")
    return "\n".join(lines)
