"""The owner's key: what nobody else knows of the noise, so that nobody else can draw it again.

The waves of the noise have phases, directions, periods and hues within known ranges. Where in the
ranges they lie, a key of 256 bits says; the code and the weights alone do not.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unseg.errors import UnsegError
from unseg.files import TEMPORARY

#: The variable that names a file with the key, or holds its hexadecimal digits.
VARIABLE = "UNSEG_KEY"
#: What the only line of a key file starts with.
KEY_FORMAT = "unseg-key-1"
#: Bytes of a secret.
SECRET_BYTES = 32
#: Seconds that a file which another process is writing is waited for.
PATIENCE = 5.0

_DIGITS = re.compile(rf"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}")


@dataclass(frozen=True)
class Key:
    """A secret from which the noise draws its numbers; equal secrets are equal keys.

    Args:
        secret: 32 bytes; neither ``repr`` nor ``str`` shows them.

    Raises:
        ValueError: when the secret has another length.

    Example:
        >>> key = Key.of_text("an example")
        >>> key
        Key()
        >>> key.uniform("phase", 3) == key.uniform("phase", 3) != key.uniform("phase", 4)
        True
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != SECRET_BYTES:
            raise ValueError(f"a key has {SECRET_BYTES} bytes")  # what was given is not said

    @classmethod
    def generate(cls) -> Key:
        """A new key from the system's source of randomness."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def of_text(cls, text: str) -> Key:
        """The key that a text stands for (its sha256): public, for tests and the evaluation."""
        return cls(hashlib.sha256(text.encode()).digest())

    def uniform(self, *labels: str | int) -> float:
        """The number in [0, 1) that these labels name; see :meth:`uniforms`."""
        return self.uniforms(1, *labels)[0]

    def uniforms(self, count: int, *labels: str | int) -> list[float]:
        """Numbers in [0, 1), independent of those of all other labels.

        Args:
            count: how many; the first ones do not depend on it.
            labels: name the numbers; no slash in them. 1 and ``"1"`` are one label.

        Raises:
            ValueError: when there is no label, or a slash in one.
        """
        stream = hashlib.shake_256(self._digest(labels)).digest(8 * count)
        # The upper 53 of 64 bits: as many as a float holds, so that none is rounded to 1.
        return [
            (int.from_bytes(stream[at : at + 8]) >> 11) / (1 << 53) for at in range(0, 8 * count, 8)
        ]

    def fingerprint(self, salt: bytes) -> str:
        """What tells two keys apart without telling anything of them.

        Args:
            salt: of one run, random and stored beside the fingerprint, so that those of two runs
                cannot be linked.

        Returns:
            64 hexadecimal digits.
        """
        # No label starts with a zero byte in a message: fingerprints are none of the numbers.
        return hmac.new(self.secret, b"\0fingerprint\0" + salt, hashlib.sha256).hexdigest()

    def _digest(self, labels: tuple[str | int, ...]) -> bytes:
        parts = [str(label) for label in labels]
        if not parts or any("/" in part or part.startswith("\0") for part in parts):
            raise ValueError(f"labels {parts}: expected one or more, without a slash")
        return hmac.new(self.secret, "/".join(parts).encode(), hashlib.sha256).digest()


@dataclass(frozen=True)
class OwnerKey:
    """A key as one run uses it.

    Args:
        key: the secret.
        source: where it came from, for the run's file and messages. Where a user keeps files is
            nobody's business: of a path it names the last two parts.
        path: of its file, if it has one.
        made: whether the file did not exist before.
        salt: of the fingerprint, random for every run, so that those of two cannot be linked.
    """

    key: Key
    source: str
    path: Path | None = None
    made: bool = False
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def describe(self) -> dict[str, str]:
        """Source, salt and fingerprint, for the run's file."""
        return {
            "source": self.source,
            "salt": self.salt.hex(),
            "fingerprint": self.key.fingerprint(self.salt),
        }

    def is_of(self, described: Mapping[str, str]) -> bool:
        """Whether an earlier run's :meth:`describe` is of the same key."""
        try:
            salt = bytes.fromhex(described["salt"])
            return hmac.compare_digest(described["fingerprint"], self.key.fingerprint(salt))
        except (KeyError, TypeError, ValueError):
            return False


def owner_key(
    given: Key | Path | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    make: bool = True,
    outside: Sequence[Path] = (),
) -> OwnerKey:
    """The owner's key: the given one, else that of ``UNSEG_KEY``, else the one of their own file.

    Args:
        given: a key, or its file.
        environ: variables: ``UNSEG_KEY`` is a key file that exists, or the 64 hexadecimal digits
            themselves.
        make: whether a file that does not exist, given or the owner's own, is made.
        outside: folders that the key must not lie in, as they are published.

    Raises:
        UnsegError: when a file is damaged, may be read by others, lies where it must not, does not
            exist or cannot be made.
    """
    if isinstance(given, Key):
        return OwnerKey(given, "a key given in Python")
    if given is not None:
        if _DIGITS.fullmatch(given.name) and not _exists(given):
            raise UnsegError(
                "--key takes the name of a file, not the digits of a key: give those in the "
                f"variable {VARIABLE}"
            )
        path = given.expanduser()
        return _from_file(path, f"the file {_shown(path)}", make, outside)
    named = environ.get(VARIABLE, "").strip()
    if named and _DIGITS.fullmatch(named):
        return OwnerKey(Key(bytes.fromhex(named)), f"the variable {VARIABLE}")
    if named:
        path = Path(named).expanduser()
        if not _exists(path):  # without its text: that may be a secret
            raise UnsegError(
                f"{VARIABLE} is neither an existing file nor {2 * SECRET_BYTES} hexadecimal "
                "digits: correct it, or unset it to use your own key file"
            )
        return _from_file(path, f"the file {_shown(path)} ({VARIABLE})", False, outside)
    path = key_file(environ)
    if make:
        try:
            path.parent.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _not_made(path, error) from error
    return _from_file(path, f"your own key file {_shown(path)}", make, outside)


def key_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the owner's key lies unless ``--key`` or ``UNSEG_KEY`` names another; may not exist.

    Raises:
        UnsegError: when the system knows no home folder.
    """
    if sys.platform == "win32" and environ.get("APPDATA"):
        folder = Path(environ["APPDATA"])
    elif sys.platform == "darwin":
        folder = _home(environ) / "Library" / "Application Support"
    elif Path(environ.get("XDG_CONFIG_HOME", "")).is_absolute():
        folder = Path(environ["XDG_CONFIG_HOME"])
    else:
        folder = _home(environ) / ".config"
    return folder / "unseg" / "key"


def read_key(path: Path) -> Key:
    """Read a key file.

    Raises:
        UnsegError: when it cannot be read, is damaged, or may be read by other users, as ``ssh``
            refuses such files of one's own.
    """
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(4096)
    except OSError as error:
        raise UnsegError(
            f"the key {path} cannot be read ({error.strerror or error}): check its permissions, or "
            "give another file with --key"
        ) from error
    if (
        os.name == "posix"
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    ):
        raise UnsegError(
            f"the key {path} may be read by others (mode {stat.S_IMODE(status.st_mode):04o}): run "
            f"chmod 600 {path}"
        )
    word, _, digits = content.decode("ascii", "replace").strip().partition(" ")
    if word != KEY_FORMAT or not _DIGITS.fullmatch(digits):
        newer = word.startswith("unseg-key-") and word != KEY_FORMAT
        raise UnsegError(
            f"the key {path} is of a newer format: install the version of unseg that wrote it"
            if newer
            else f"the key {path} is damaged: expected one line, {KEY_FORMAT} and "
            f"{2 * SECRET_BYTES} hexadecimal digits; put a copy back, or remove it and a new one "
            "is made"
        )
    return Key(bytes.fromhex(digits))


def write_key(path: Path, key: Key) -> None:
    """Write a new key file that only its owner can read; a reader never sees a part of it.

    Raises:
        FileExistsError: when there is a file of that name; it is left alone.
        UnsegError: when it cannot be written.
    """
    line = f"{KEY_FORMAT} {key.secret.hex()}\n".encode()
    temporary = path.with_name(TEMPORARY.replace("*", f"{os.getpid()}-{secrets.token_hex(6)}"))
    try:
        _create(temporary, line)
        try:
            # Unlike a rename, a second name is refused where there is a file already.
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links; readers wait for the rest of the line
            _create(path, line)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise _not_made(path, error) from error


def _create(path: Path, content: bytes) -> None:
    """Create a file of mode 0600 that was not there, and have it on disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _from_file(path: Path, source: str, make: bool, outside: Sequence[Path]) -> OwnerKey:
    """The key of a file, which is made unless it is there; of two that make it, one wins."""
    for folder in outside:
        here = folder.resolve()
        if path.absolute().is_relative_to(here) or path.resolve().is_relative_to(here):
            raise UnsegError(
                f"the key {path} lies in {folder}, which is there to be published: keep it "
                "elsewhere"
            )
    if not _exists(path):
        if not make:
            raise UnsegError(
                f"the key {path} does not exist: put a copy of it back, or give another file with "
                "--key"
            )
        key = Key.generate()
        try:
            write_key(path, key)
            return OwnerKey(key, source, path, made=True)
        except FileExistsError:
            _wait(path)
    return OwnerKey(read_key(path), source, path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that may not be entered; making the file says so
        return False


def _shown(path: Path) -> str:
    return "/".join(path.absolute().parts[-2:])


def _wait(path: Path) -> None:
    """Wait until the line that another process writes is whole; then it has an end."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if path.read_bytes().endswith(b"\n"):
                return
        except OSError:  # read_key says it better
            return
        time.sleep(0.02)


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "") if os.name == "posix" else ""
    try:
        return Path(home) if home else Path.home()
    except RuntimeError as error:
        raise UnsegError(
            f"there is no home folder to keep a key in: give a file with --key, or in {VARIABLE}"
        ) from error


def _not_made(path: Path, error: OSError) -> UnsegError:
    reason = error.strerror or os.strerror(error.errno or errno.EIO)
    return UnsegError(
        f"the key {path} cannot be made ({reason}): give a file with --key, or in {VARIABLE}"
    )
