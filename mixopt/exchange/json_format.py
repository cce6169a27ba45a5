"""json: our own file - shares in tokens by phase, epochs, caps and the hashes of the inputs."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from mixopt.errors import DataError
from mixopt.exchange.base import (
    TARGET_TOKENS,
    TRAINER_TOKENS,
    Decision,
    Format,
    Reading,
    Sources,
)

_UNITS = (TARGET_TOKENS, TRAINER_TOKENS)
_SCHEMA = 1


@dataclass
class Json(Format):
    """A document for programs; it states its unit and holds schedules as well as mixtures."""

    unit: ClassVar[str] = "tokens"

    def write(self, decision: Decision) -> str:
        """The document, indented for people."""
        phases = [{"fraction": part, "shares": dict(mix)} for part, mix in decision.schedule]
        document = {
            "schema": _SCHEMA,
            "name": decision.name,
            "unit": decision.unit,
            "phases": phases,
            "target_tokens": decision.target_tokens,
            "epochs": dict(decision.epochs),
            "caps": dict(decision.caps),
            "provenance": dict(decision.provenance),
        }
        return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n"

    def read(self, text: str, sources: Sources) -> Reading:
        """The phases of a document. Raises DataError where it is none of ours."""
        try:
            document: dict[str, Any] = json.loads(text)
            if document["unit"] not in _UNITS:
                raise DataError(f"expected shares in {TARGET_TOKENS}, got {document['unit']!r}")
            phases = [(float(part["fraction"]), part["shares"]) for part in document["phases"]]
            return Reading(
                tuple((part, {k: float(v) for k, v in mix.items()}) for part, mix in phases)
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"expected a JSON document with a unit and phases of shares: {error!r}"
            ) from error
