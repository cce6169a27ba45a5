"""megatron_args: one line of arguments for Megatron-LM, `--data-path WEIGHT PREFIX ...`.

The arithmetic is that of the blend file (`megatron`); a shell splits the line into its words, so
prefixes are quoted where a shell would read more into them.
"""

import shlex
from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources
from mixopt.exchange.megatron import UNIT, blend, blend_shares


@dataclass
class MegatronArgs(Format):
    """The blend of one mixture as `--data-path`.

    >>> print(MegatronArgs().write(Decision("pick", ((1.0, {"web": 0.5, "law": 0.5}),))), end="")
    --data-path 0.5 web 0.5 law
    """

    unit: ClassVar[str] = UNIT
    ending: ClassVar[str | None] = ".idx"

    def write(self, decision: Decision) -> str:
        """The line."""
        words = blend(decision.mixture("megatron's --data-path"), decision.used)
        return f"--data-path {shlex.join(words)}\n"

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that Megatron would draw."""
        option, *words = shlex.split(text) or [""]
        if option != "--data-path":
            raise DataError(f"expected --data-path and a blend, got {option!r}")
        return Reading(((1.0, blend_shares(words, sources)),))
