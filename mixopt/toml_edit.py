"""One number in a TOML file that a person wrote: set or added, every other byte kept.

TOML writers lose comments, so the text itself is edited, and read again: where the result does not
say what it should (an inline table over several lines, say), nothing is returned but an error.
"""

import re
import tomllib
from typing import Any

from mixopt.errors import ConfigError


def set_number(text: str, table: str, key: str, value: float, remark: str) -> str:
    """`text` with `[table] key = value`; a new line gets `remark` as its comment.

    Raises ConfigError where the text is not TOML, or only a person can edit it.

    >>> print(set_number("[training]  # mine\\nclip = 1.0\\n", "training", "rate", 0.01, "found"))
    [training]  # mine
    rate = 0.01  # found
    clip = 1.0
    <BLANKLINE>
    """
    wanted = _read(text)
    wanted.setdefault(table, {})[key] = value
    for edited in _attempts(text, table, key, repr(value), remark):
        try:
            if tomllib.loads(edited) == wanted:
                return edited
        except tomllib.TOMLDecodeError:
            continue
    raise ConfigError(
        f"[{table}] stands in a form that only a person can edit: write {key} = {value!r} into it"
    )


def _attempts(text: str, table: str, key: str, value: str, remark: str) -> list[str]:
    """Texts of which the first that says the right thing is taken."""
    number = r"[^\s,#}]+"
    return [
        *_replacements(text, rf"^\s*{key}\s*=\s*({number})", value),
        *_replacements(text, rf"^\s*{table}\s*\.\s*{key}\s*=\s*({number})", value),
        *_replacements(text, rf"^\s*{table}\s*=\s*\{{[^\n]*?\b{key}\s*=\s*({number})", value),
        *_replacements(text, rf"^\s*{table}\s*=\s*\{{()\s*\}}", f"{key} = {value}"),
        *_replacements(text, rf"^\s*{table}\s*=\s*\{{()", f"{key} = {value}, "),
        *_replacements(text, rf"^\s*\[\s*{table}\s*\][^\n]*()$", f"\n{key} = {value}  # {remark}"),
        f"{text.rstrip()}\n\n[{table}]\n{key} = {value}  # {remark}\n",
    ]


def _replacements(text: str, pattern: str, value: str) -> list[str]:
    """The text with the group of one match replaced, for each match."""
    return [
        text[: match.start(1)] + value + text[match.end(1) :]
        for match in re.finditer(pattern, text, re.MULTILINE)
    ]


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"expected TOML, got a text that is none: {error}") from error
