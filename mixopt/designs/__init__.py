"""Designs: ways to plan the runs that a law will be fitted on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.designs.base import Design

DESIGNS = {
    "dirichlet": Entry("mixopt.designs.dirichlet:Dirichlet"),
    "sobol": Entry("mixopt.designs.sobol:Sobol"),
    "spacefill": Entry("mixopt.designs.spacefill:SpaceFill"),
}


def make_design(name: str, hyper: Mapping[str, Any] = MappingProxyType({})) -> "Design":
    """The design registered as `name`, e.g. `make_design("sobol", {"concentration": 0.5})`."""
    return make(DESIGNS, "design", name, hyper)
