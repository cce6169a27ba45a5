"""The errors that a user can meet, one root; the command line prints them as one sentence.

MixoptError                   exit code 1
├── ConfigError               3   a file that people write is wrong
├── DataError                 3   runs, corpora or tables are wrong
│   └── StaleError            3   a result is behind the table it came from
├── NotFittedError            1   a law was asked before it was fitted
├── MissingExtraError         1   an optional dependency is not installed
├── RunsFailedError           4   some runs failed
├── InfeasibleError           5   no mixture meets the limits
└── PausedError               75  interrupted, the same command resumes

A message is one sentence: what was expected, what came (file, line, key), what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MixoptError(Exception):
    """Root of everything that is the input's fault rather than ours."""

    exit_code = 1


class ConfigError(MixoptError):
    """A file that people write is wrong."""

    exit_code = 3


class DataError(MixoptError):
    """Runs, corpora or tables are wrong."""

    exit_code = 3


class StaleError(DataError):
    """A result was made from less than what its table now holds."""


class NotFittedError(MixoptError):
    """A law was asked before it was fitted."""


class MissingExtraError(MixoptError):
    """An optional dependency is not installed."""


class RunsFailedError(MixoptError):
    """Some runs failed; the others are in the table."""

    exit_code = 4


class InfeasibleError(MixoptError):
    """No mixture meets the limits."""

    exit_code = 5


class PausedError(MixoptError):
    """The work was interrupted; the same command goes on from where it stopped."""

    exit_code = 75


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, all, or that none is.

    >>> nearest("tokns", ["tokens", "seeds"])
    "did you mean 'tokens'?"
    >>> nearest("x", ["tokens", "seeds"])
    'known: seeds, tokens'
    >>> nearest("x", [])
    'there are none'
    """
    names = list(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(names))}" if names else "there are none"
