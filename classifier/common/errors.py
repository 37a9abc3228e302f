"""The one exception that means: the person can mend this; and how its text shows what came."""

import reprlib

MOST_SHOWN = 80
MOST_TOLD = 400

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = MOST_SHOWN


class UserError(ValueError):
    """Bad input. Its text is one line: where, what was needed, what came, what to do.

    Stages and tools print it without a traceback and exit with status 1. Our own bugs are `assert`s instead.
    """


class PeerLostError(UserError):
    """Another process of the job is gone: the error of that one is the one to tell."""


def shown(value: object) -> str:
    """`value` for an error's text: its repr, at most 80 characters and three levels of it.

    A few lines of YAML aliases can nest so deeply that the whole repr would not fit into memory.
    """
    try:
        return _SHORT.repr(value)[:MOST_SHOWN]
    except ValueError:  # Python does not write out numbers of more than 4300 digits
        return "a number too long to show"


def told(error: Exception) -> str:
    """What a library says of bad input, on one line of at most 400 characters: some quote all that they were given."""
    text = " ".join(str(error).split())
    return text if len(text) <= MOST_TOLD else f"{text[: MOST_TOLD - 1]}…"
