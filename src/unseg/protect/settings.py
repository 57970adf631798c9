"""What decides the images that are written: one object, with the same defaults at every door."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

from unseg.errors import UnsegError
from unseg.images.ranges import RangeChoice, number_of
from unseg.images.writer import JPEG_QUALITY
from unseg.key import Key, OwnerKey
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources import DEFAULT_FIND, SOURCES
from unseg.noise import Budget
from unseg.protect.noises import DEFAULT_NOISES, NOISES
from unseg.protect.visibility import DEFAULT, Visibility

OutputFormat = Literal["png", "webp", "tiff", "jpeg", "same"]
Strip = Literal["none", "gps", "all"]
Silent = Literal["auto", "first"] | tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """Settings of ``unseg protect``, of :func:`unseg.protect_folder` and of :class:`Protector`.

    Args:
        budget: the bound, in 8-bit steps; of 16 bits, in steps of ``range``. A number is the
            foreground's; the background then has a quarter of it, as in the paper.
        target: one mask prompt for the union of the foreground, one a ``class`` or an ``instance``.
        classes: labels that are foreground, or names of classes where annotations are given; None
            is every label but background and void.
        void: label to ignore: ``auto`` is 255 in 8-bit maps and none in wider ones; None is none.
        background: the label that is background; None when 0 is a class.
        silent: with ``target="class"`` and ``background=None``, the labels that carry no noise
            while the others share one texture. ``auto`` chooses them from the images, ``first``
            gives every class a texture of its own and none to label 0.
        visibility: what people may see of the noise, as the judge says: ``low``, nothing when
            flickering; ``normal``, nothing side by side; ``strong`` uses the whole bound.
        format: ``png``, ``webp`` and ``tiff`` are lossless, ``jpeg`` is not, ``same`` keeps the
            original's kind. DICOM files stay such.
        quality: of JPEG files, 1..100; their colours are never stored smaller (4:4:4).
        range: which samples of 16-bit images are in use, so that a step is a 255th of it: ``auto``,
            ``data``, ``full``, or lowest and highest; see :func:`unseg.images.ranges.with_range`.
        strip: what is left out of the written files: ``gps``, the place where they were taken, or
            ``all`` of EXIF and the descriptive tags.
        batch_size: images in one pass of the model.
        find: what finds a foreground where the owner gives none, in this order; names of
            :data:`unseg.masks.sources.SOURCES` or ``module:Name``.
        noises: what makes the noise, the first that suits an image; names of
            :data:`unseg.protect.noises.NOISES` or ``module:Name``.
        model: generator: ``default``, a shipped name or a ``.safetensors`` file.
        salience: the head that finds what stands out: ``default``, ``none`` or a file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        strict: whether a warning is an error, such as a mask that is mostly void.
        key: the secret that the noise's phases, directions, periods and hues follow from, or its
            file; None is the owner's own, see :func:`unseg.key.owner_key`. It is written nowhere.
        timeout: seconds that decoding one file may take, in a process of its own; None decodes in
            this one, however long it takes.

    Raises:
        UnsegError: when a value is none of these.

    Example:
        >>> Settings(budget=4).budget
        Budget(foreground=4.0, background=1.0)
    """

    budget: Budget = Budget()
    target: Target = "union"
    classes: tuple[int | str, ...] | None = None
    void: int | Literal["auto"] | None = "auto"
    background: Literal[0] | None = 0
    silent: Silent = "auto"
    visibility: Visibility = DEFAULT
    format: OutputFormat = "png"
    quality: int = JPEG_QUALITY
    range: RangeChoice = "auto"
    strip: Strip = "none"
    batch_size: int = 1
    find: tuple[str, ...] = DEFAULT_FIND
    noises: tuple[str, ...] = DEFAULT_NOISES
    model: str = "default"
    salience: str = "default"
    device: str = "auto"
    strict: bool = False
    key: OwnerKey | Key | Path | str | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        try:
            budget = Budget.of(self.budget)
        except (TypeError, ValueError) as error:
            raise UnsegError(f"budget={self.budget!r}: {error}") from error
        object.__setattr__(self, "budget", budget)
        if max(budget.foreground, budget.background) < 1:
            raise UnsegError(
                f"a budget of {budget.foreground:g} and {budget.background:g} is below one 8-bit "
                "step, so nothing would be protected: give the foreground 1 or more"
            )
        for name, known in (
            ("target", get_args(Target)),
            ("visibility", get_args(Visibility)),
            ("format", get_args(OutputFormat)),
            ("strip", get_args(Strip)),
        ):
            if getattr(self, name) not in known:
                raise UnsegError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        if self.background not in (0, None):
            raise UnsegError(
                f"background={self.background!r}: expected 0, or None for no such label"
            )
        if self.classes is not None:
            object.__setattr__(self, "classes", _classes(self.classes))
        if not isinstance(self.silent, str):
            object.__setattr__(self, "silent", _labels("silent", self.silent))
        if isinstance(self.silent, str) and self.silent not in ("auto", "first"):
            raise UnsegError(f"silent={self.silent!r}: expected auto, first or labels")
        if not isinstance(self.silent, str) and self.target != "class":
            named = ",".join(map(str, self.silent))
            raise UnsegError(f"silent={named} needs target class: a union has no labels")
        if not 1 <= self.quality <= 100:
            raise UnsegError(f"quality={self.quality}: expected 1 to 100")
        object.__setattr__(self, "range", _range(self.range))
        if self.timeout is not None and not 0 < self.timeout < 1e6:
            raise UnsegError(f"timeout={self.timeout}: expected seconds, such as 30")
        if self.batch_size < 1:
            raise UnsegError(f"batch_size={self.batch_size}: expected at least 1")
        object.__setattr__(self, "find", tuple(self.find))
        object.__setattr__(self, "noises", tuple(self.noises))
        if isinstance(self.key, str):
            object.__setattr__(self, "key", Path(self.key))
        for name in self.find:
            SOURCES.check(name)
        for name in self.noises:
            NOISES.check(name)

    @property
    def owner_key(self) -> OwnerKey | None:
        """The key, once :func:`unseg.protect.keys.with_key` has found it."""
        return self.key if isinstance(self.key, OwnerKey) else None

    @property
    def chooses_silent(self) -> bool:
        """Whether the silent classes are still to be chosen from the images."""
        return self.silent == "auto" and self.target == "class" and self.background is None

    @property
    def rules(self) -> LabelRules:
        """What the labels of masks mean; an ``auto`` that was not resolved is ``first``.

        Raises:
            UnsegError: when ``classes`` holds names, which only annotations know.
        """
        named = [one for one in self.classes or () if isinstance(one, str)]
        if named:
            raise UnsegError(
                f"classes={', '.join(named)}: expected label numbers such as 6, 15, for names need "
                "annotations that name their classes"
            )
        numbers = tuple(one for one in self.classes or () if isinstance(one, int))
        return LabelRules(
            target=self.target,
            classes=None if self.classes is None else numbers,
            void=self.void,
            background=self.background,
            silent=None if isinstance(self.silent, str) else self.silent,
        )

    def describe(self) -> dict[str, Any]:
        """The settings as JSON, without the key."""
        parts = asdict(replace(self, key=None))
        del parts["key"]
        return json.loads(json.dumps(parts))

    def digest(self, model_sha256: str, masks: str) -> str:
        """Checksum of all that an image's protected form depends on, the image itself excepted.

        Args:
            model_sha256: of the noise sources' weights.
            masks: what the mask depends on; see :meth:`MaskSource.identity`.
        """
        parts = self.describe()
        # The checksums say more than the names, and no image depends on the others.
        for name in ("batch_size", "model", "salience", "device", "find", "strict", "timeout"):
            del parts[name]
        parts |= {"unseg": metadata.version("unseg"), "weights": model_sha256, "masks": masks}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _range(value: object) -> RangeChoice:
    if isinstance(value, str) and value in ("auto", "data", "full"):
        return value  # type: ignore[return-value]
    try:
        low, high = (number_of(str(one)) for one in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        low, high = 0, 0
    if isinstance(value, str) or not low < high:
        raise UnsegError(
            f"range={value!r}: expected auto, data, full, or the lowest and the highest sample"
        )
    return low, high


def _classes(values: Iterable[int | str]) -> tuple[int | str, ...]:
    """Numbers in order, then names in order; digits are a number."""
    given = () if isinstance(values, str) else tuple(values)
    names = {one.strip() for one in given if isinstance(one, str) and not one.strip().isdecimal()}
    if isinstance(values, str) or "" in names:
        raise UnsegError(
            f"classes={values!r}: expected label numbers such as 6, 15, or names of classes"
        )
    numbers = [one for one in given if not isinstance(one, str) or one.strip().isdecimal()]
    return (*_labels("classes", numbers), *sorted(names))


def _labels(name: str, values: Iterable[int | str]) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(value) for value in values}))
    except (TypeError, ValueError) as error:
        raise UnsegError(f"{name}={values!r}: expected label numbers such as 6, 15") from error
