"""What options mean that several commands have."""

from __future__ import annotations

SALIENCE_HELP = (
    "The head that finds what stands out: the shipped one, none (the base SAM's own proposals "
    "are used), or a file written by unseg train-salience."
)
FIND_HELP = (
    "What finds the objects where you give no mask, in this order: people, objects (people, "
    "animals, cars and more), salient (what stands out), all (objects and what else stands out), "
    "proposed (what looks like an object), whole-image, or your own module:Name."
)
VISIBILITY_HELP = (
    "What people may see of the noise, as SSIMULACRA2 judges it: low, nothing when flickering (at "
    "least 90); normal, nothing side by side (85); strong uses the whole bound."
)
QUALITY_HELP = "Quality of JPEG files; colours are kept in full (4:4:4)."
RANGE_HELP = (
    "Samples of 16-bit images that are in use, such as 0:4095, or of floating-point ones, such as "
    "0:0.4; a step is a 255th of the range. "
    "auto takes it from the file, or from its data."
)
KEY_HELP = (
    "File with your key, from which the noise follows; keep it to yourself. It is made when it "
    "does not exist. Default: what the variable UNSEG_KEY says, else a file of your own."
)
SHARD_HELP = (
    "Do one part of the work, such as 2/8, for job arrays; the parts may run side by side into "
    "one folder."
)
TIMEOUT_HELP = (
    "Decode every file in a process of its own first, and give it up after so many seconds: for "
    "files that you do not trust."
)
SHEET_HELP = (
    "Page to write: thumbnails of every original, its protected form, the noise and the mask, "
    "sortable by visibility. It shows the originals, so it must not lie in OUT."
)
STRIP_HELP = "Leave out where a picture was taken, or all EXIF data and tags."
