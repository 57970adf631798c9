"""The one exception whose text is meant for the person at the keyboard."""

from __future__ import annotations


class UnsegError(Exception):
    """A problem that the user can fix.

    The text names the file or option, says what was found, what was expected and what to do.
    The command line prints it as one line, without a traceback, and exits with a non-zero code.
    """
