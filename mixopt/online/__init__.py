"""Controllers: what moves the mixture while a run trains."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.online.base import Controller

CONTROLLERS = {
    "static": Entry("mixopt.online.static:Static"),
    "default": Entry("mixopt.online.uniform:Uniform"),
    "uniform": Entry("mixopt.online.uniform:Uniform"),
    "schedule": Entry("mixopt.online.schedule:Schedule"),
    "odm": Entry("mixopt.online.odm:ODM"),
    "doremi": Entry("mixopt.online.doremi:DoReMi"),
    "doge": Entry("mixopt.online.doge:DoGE"),
    "skillit": Entry("mixopt.online.skillit:SkillIt"),
    "aioli": Entry("mixopt.online.aioli:Aioli"),
    "ado": Entry("mixopt.online.ado:ADO"),
    "tikmix": Entry("mixopt.online.tikmix:TiKMiX"),
    "rb": Entry("mixopt.online.rb:RB"),
}


def make_controller(name: str, settings: Mapping[str, Any]) -> "Controller":
    """The controller registered as `name`; all but "static" want a budget among the settings.

    >>> from mixopt.online.budget import Budget
    >>> make_controller("odm", {"budget": Budget.of(["web", "law"])}).weights()
    array([0.5, 0.5])
    """
    return make(CONTROLLERS, "controller", name, settings)
