"""The errors a user can meet, and the exit code of each. Everything else is a defect and shows its traceback."""

from __future__ import annotations


class LobError(Exception):
    """A failure with one clear sentence for the user. Exit code 1 unless a subclass says otherwise."""

    exit_code = 1


class BadInputError(LobError):
    """Bad usage or bad input: what, where, what was expected, what to do. Exit code 2, the lake untouched."""

    exit_code = 2


class RefusedError(LobError):
    """A check or gate says no (refused or ungated input, certificate that does not hold). Exit code 3."""

    exit_code = 3
