"""Mixing laws: fitted on finished runs, they predict the metrics of any mixture."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.laws.base import Law

LAWS = {
    "edl": Entry("mixopt.laws.edl:EDL"),
    "mean": Entry("mixopt.laws.mean:Mean"),
    "regmix": Entry("mixopt.laws.regmix:RegMix"),
    "ridge": Entry("mixopt.laws.ridge:Ridge"),
}


def make_law(name: str, hyper: Mapping[str, Any] | None = None) -> "Law":
    """The law registered as `name`, not yet fitted, e.g. `make_law("regmix", {"rounds": 500})`.

    Raises ConfigError for an unknown name or setting.
    """
    return make(LAWS, "law", name, hyper or {})
