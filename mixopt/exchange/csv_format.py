"""csv: shares in tokens by phase and domain, with epochs, a line each, for people and sheets."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import Decision, Format, Reading, Source, Sources

_HEADER = ["phase", "fraction", "domain", "share", "epochs", "unit"]


@dataclass
class Csv(Format):
    """Columns phase, fraction, domain, share, epochs (of that phase), unit."""

    unit: ClassVar[str] = "tokens"

    def write(self, decision: Decision) -> str:
        """The text; domains without a share are in it, with 0."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        for number, (fraction, mixture) in enumerate(decision.schedule, start=1):
            for name, share in mixture.items():
                size = decision.sources.get(name, Source()).tokens
                total = decision.target_tokens
                epochs = share * fraction * total / size if total and size else ""
                writer.writerow([number, fraction, name, float(share), epochs, decision.unit])
        return text.getvalue()

    def read(self, text: str, sources: Sources) -> Reading:
        """The phases of a text. Raises DataError where it is none of ours."""
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows or list(rows[0]) != _HEADER:
            raise DataError(f"expected a CSV with the columns {', '.join(_HEADER)}")
        try:
            return Reading(tuple(_phase(rows, number) for number in _numbers(rows)))
        except ValueError as error:
            raise DataError(f"expected numbers of phases and shares: {error}") from error


def _numbers(rows: Sequence[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["phase"] for row in rows))


def _phase(rows: Sequence[dict[str, str]], number: str) -> tuple[float, dict[str, float]]:
    mine = [row for row in rows if row["phase"] == number]
    return float(mine[0]["fraction"]), {row["domain"]: float(row["share"]) for row in mine}
