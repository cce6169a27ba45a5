"""Controllers: what moves the mixture while a run trains."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.online.base import Controller

CONTROLLERS = {
    "static": Entry("mixopt.online.static:Static"),
}


def make_controller(name: str, settings: Mapping[str, Any]) -> "Controller":
    """The controller registered as `name`, e.g. `make_controller("static", {"schedule": ...})`."""
    return make(CONTROLLERS, "controller", name, settings)
