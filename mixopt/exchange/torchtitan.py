"""torchtitan: a Python module with the weights of a DatasetMixConfig.

torchtitan's configuration is Python. Its mix draws the next item of a child by weight, divided by
the sum: children that are packed before they are mixed give rows of fixed length, so that weights
are shares of tokens. The module is read back as a syntax tree, never run.
"""

import ast
from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Sources, short
from mixopt.exchange.labels import by_domain, file_names
from mixopt.exchange.markup import weights

_MODULE = '''\
"""Shares of tokens for torchtitan: pack each dataset, then mix."""

from torchtitan.components.data import DatasetMixConfig, WeightedDataset

WEIGHTS = {{
{weights}
}}


def mixed(packed):
    """The mix of `packed`, packed dataset configurations by name."""
    return DatasetMixConfig(
        datasets=tuple(
            WeightedDataset(dataset=packed[name], weight=weight)
            for name, weight in WEIGHTS.items()
        )
    )
'''


@dataclass
class Torchtitan(Format):
    """`WEIGHTS` by name, and the function that makes the configuration of them."""

    unit: ClassVar[str] = "rows of fixed length (packed before they are mixed)"

    def write(self, decision: Decision) -> str:
        """The text of the module."""
        mixture = decision.mixture("a torchtitan mix")
        names = file_names(decision.used)
        lines = [f'    "{names[name]}": {short(share)!r},' for name, share in mixture.items()]
        return _MODULE.format(weights="\n".join(lines))

    def read(self, text: str, sources: Sources) -> Reading:
        """The shares that torchtitan would draw."""
        drawn = weights(_constant(text, "WEIGHTS"))
        total = sum(drawn.values())
        shares = {name: weight / total for name, weight in drawn.items()}
        return Reading(((1.0, by_domain(file_names(sources), shares)),))


def _constant(text: str, name: str) -> object:
    """The literal that a module assigns to a name."""
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(node.value)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"expected a Python module with a literal {name}: {error}") from error
    raise DataError(f"expected a Python module that assigns {name}")
