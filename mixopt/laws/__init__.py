"""Mixing laws: fitted on finished runs, they predict the metrics of any mixture."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.laws.base import Law

DEFAULT = "auto"
COMPARED = ("auto", "loglinear", "mean", "regmix", "ridge")
"""Laws that a fit compares where nobody names others."""

LAWS = {
    "additive": Entry("mixopt.laws.additive:Additive"),
    "auto": Entry("mixopt.laws.auto:Auto"),
    "autoscale": Entry("mixopt.laws.autoscale:AutoScale"),
    "bimix": Entry("mixopt.laws.bimix:BiMix"),
    "capacity": Entry("mixopt.laws.capacity:Capacity"),
    "edl": Entry("mixopt.laws.edl:EDL"),
    "edl_gp": Entry("mixopt.laws.edl_gp:EDLGP"),
    "gp": Entry("mixopt.laws.gp:GP"),
    "joint": Entry("mixopt.laws.joint:Joint"),
    "linear": Entry("mixopt.laws.linear:Linear"),
    "loglinear": Entry("mixopt.laws.loglinear:LogLinear"),
    "loglinear_olmix": Entry("mixopt.laws.loglinear_olmix:LogLinearOlmix"),
    "mean": Entry("mixopt.laws.mean:Mean"),
    "moe_scale": Entry("mixopt.laws.moe_scale:MoeScale"),
    "nested": Entry("mixopt.laws.nested:Nested"),
    "pairwise": Entry("mixopt.laws.pairwise:Pairwise"),
    "quadratic": Entry("mixopt.laws.quadratic:Quadratic"),
    "recalibrated": Entry("mixopt.laws.recalibrated:Recalibrated"),
    "regmix": Entry("mixopt.laws.regmix:RegMix"),
    "ridge": Entry("mixopt.laws.ridge:Ridge"),
}


def make_law(name: str, hyper: Mapping[str, Any] | None = None) -> "Law":
    """The law registered as `name`, not yet fitted, e.g. `make_law("regmix", {"rounds": 500})`.

    Raises ConfigError for an unknown name or setting.
    """
    return make(LAWS, "law", name, hyper or {})
