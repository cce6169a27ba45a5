"""Formats in which decisions leave for a trainer; tables in which runs come and go."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.registry import Entry, make

if TYPE_CHECKING:
    from mixopt.exchange.base import Format

FORMATS = {
    "axolotl": Entry("mixopt.exchange.axolotl:Axolotl"),
    "csv": Entry("mixopt.exchange.csv_format:Csv"),
    "doremi": Entry("mixopt.exchange.doremi:DoReMi"),
    "gpt_neox": Entry("mixopt.exchange.gpt_neox:GptNeoX"),
    "huggingface": Entry("mixopt.exchange.huggingface:HuggingFace"),
    "json": Entry("mixopt.exchange.json_format:Json"),
    "levanter": Entry("mixopt.exchange.levanter:Levanter"),
    "litdata": Entry("mixopt.exchange.litdata:LitData"),
    "llama_factory": Entry("mixopt.exchange.llama_factory:LlamaFactory"),
    "megatron": Entry("mixopt.exchange.megatron:Megatron"),
    "megatron_args": Entry("mixopt.exchange.megatron_args:MegatronArgs"),
    "megatron_split": Entry("mixopt.exchange.megatron_split:MegatronSplit"),
    "nanotron": Entry("mixopt.exchange.nanotron:Nanotron"),
    "nemo": Entry("mixopt.exchange.nemo:Nemo"),
    "olmix": Entry("mixopt.exchange.olmix:OlmixMix"),
    "olmo_core": Entry("mixopt.exchange.olmo_core:OlmoCore"),
    "regmix": Entry("mixopt.exchange.regmix:RegMixFile"),
    "streaming": Entry("mixopt.exchange.streaming:Streaming"),
    "torchtitan": Entry("mixopt.exchange.torchtitan:Torchtitan"),
}


def make_format(name: str, settings: Mapping[str, Any] | None = None) -> "Format":
    """The format registered as `name`, e.g. `make_format("nanotron", {"steps": 1000})`."""
    return make(FORMATS, "format", name, settings or {})
