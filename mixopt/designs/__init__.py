"""Designs: ways to plan runs, to cover the space or to search it, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.designs.base import Design

DESIGNS = {
    "auto": Entry("mixopt.designs.auto:Auto"),
    "bo": Entry("mixopt.designs.bo:BO", extra="bo"),
    "climb": Entry("mixopt.designs.climb:Climb"),
    "dirichlet": Entry("mixopt.designs.dirichlet:Dirichlet"),
    "doptimal": Entry("mixopt.designs.doptimal:DOptimal"),
    "edl_gp_ts": Entry("mixopt.designs.edl_gp_ts:EDLGPThompson"),
    "edl_greedy": Entry("mixopt.designs.edl_greedy:EDLGreedy"),
    "edl_ts": Entry("mixopt.designs.edl_ts:EDLThompson"),
    "mfbo": Entry("mixopt.designs.mfbo:MFBO", extra="bo"),
    "random": Entry("mixopt.designs.random:Random"),
    "sobol": Entry("mixopt.designs.sobol:Sobol"),
    "spacefill": Entry("mixopt.designs.spacefill:SpaceFill"),
    "verify": Entry("mixopt.designs.verify:Verify"),
}


def make_design(name: str, hyper: Mapping[str, Any] = MappingProxyType({})) -> "Design":
    """The design registered as `name`, e.g. `make_design("sobol", {"concentration": 0.5})`."""
    return make(DESIGNS, "design", name, hyper)
