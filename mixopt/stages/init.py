"""init: write `space.toml` and `proxy.toml` for a corpus, with comments that teach."""

from __future__ import annotations

import json
import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.config import DataSpec, DomainSpec, read_proxy, read_space
from mixopt.corpus import Corpus, corpus_from_csv, corpus_from_folder
from mixopt.errors import ConfigError, DataError
from mixopt.files import write_atomic


@dataclass(frozen=True)
class Written:
    """The files of a new study, and what was assumed for the user."""

    space: Path
    proxy: Path
    domains: tuple[str, ...]
    has_text: bool
    """Whether every domain has a path to prepare."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The files for machines."""
        files = {"space": str(self.space), "proxy": str(self.proxy)}
        return {**files, "domains": list(self.domains), "notes": list(self.notes)}


def init_study(folder: Path, source: Path, target_tokens: float | None, levels: int = 1) -> Written:
    """Write the two files for a corpus folder or a `domains.csv`.

    `levels` of folders in a corpus folder make a domain (2: `web/news` is `web:news`). Raises
    ConfigError where the files exist already, DataError where the source is no corpus.
    """
    space, proxy = folder / "space.toml", folder / "proxy.toml"
    for path in (space, proxy):
        if path.exists():
            raise ConfigError(f"{path} exists already: edit it, or choose another folder")
    if not source.exists():
        raise DataError(f"{source} does not exist: expected a corpus folder or a domains.csv")
    corpus = corpus_from_folder(source, levels) if source.is_dir() else corpus_from_csv(source)
    domains = corpus.domains
    if not any(spec.train for spec in domains.values()):
        raise DataError(f"{source} has no domain to train on: all of them say train = false")
    notes = (*corpus.notes, *_assumed(domains, target_tokens))
    text = _space_text(source, Corpus(domains, notes), folder, target_tokens)
    write_atomic(space, text)
    write_atomic(proxy, _PROXY)
    read_space(space)
    read_proxy(proxy)
    has_text = all(spec.path for spec in domains.values())
    return Written(space, proxy, tuple(domains), has_text, notes)


def _assumed(domains: dict[str, DomainSpec], target_tokens: float | None) -> list[str]:
    """What nobody said and was decided here, a sentence each."""
    counted = [name for name, spec in domains.items() if spec.tokens is None and spec.path]
    unknown = [name for name, spec in domains.items() if spec.tokens is None and not spec.path]
    trained = [name for name, spec in domains.items() if spec.train]
    notes = []
    if target_tokens is None:
        notes.append("no tokens of the target, so no limit on how often it repeats a domain")
    elif any("max_epochs" not in domains[name].model_fields_set for name in trained):
        notes.append(
            f"the target may read a domain {DomainSpec().max_epochs:g} times where the list says "
            "no max_epochs"
        )
    if counted:
        notes.append(
            f"tokens of {_some(counted, domains)}: `mixopt prepare` counts them, as if the text in "
            "its path were all there is"
        )
    if unknown:
        notes.append(f"tokens of {_some(unknown, domains)}: unknown, so no prior and no cap")
    notes.append(f"the objective is the mean over {_some(trained, domains)}, each as important")
    if counted:
        notes.append(
            "the target has the proxies' tokenizer; if not, name its tokenizer.json in proxy.toml "
            "([data] target_tokenizer)"
        )
    return notes


def _some(names: list[str], domains: dict[str, DomainSpec]) -> str:
    if len(names) == len(domains):
        return f"all {len(names)} domains"
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} of the {len(domains)} domains"


def _space_text(source: Path, corpus: Corpus, folder: Path, target_tokens: float | None) -> str:
    groups = sorted({spec.group for spec in corpus.domains.values() if spec.group is not None})
    start = f"Written by `mixopt init` from {source.name}. Assumed, as nobody said:"
    parts = [_comment(start, "# ")]
    parts += [_comment(note, "# - ") for note in corpus.notes]
    parts.append(_SPACE_HEAD)
    if target_tokens is None:
        parts.append("# tokens = 1_000_000_000_000   # without it there are no caps\n")
    else:
        parts.append(f"tokens = {round(target_tokens):_}\n")
    parts += [_domain_text(name, spec, folder) for name, spec in corpus.domains.items()]
    if groups:
        parts.append("\n# Limits on groups: these allow everything, tighten them.\n")
    parts += [f"[groups.{_key(name)}]\nmin = 0.0\nmax = 1.0\n" for name in groups]
    parts.append(_objectives_text(corpus.domains))
    return "".join(parts)


def _domain_text(name: str, spec: DomainSpec, folder: Path) -> str:
    """The table of a domain: what was said of it, the path from the experiment's folder."""
    said = spec.model_dump(exclude_unset=True, exclude_none=True)
    if spec.path is not None:
        said["path"] = os.path.relpath(spec.path, folder)
    lines = [f"\n[domain.{_key(name)}]"]
    for key, value in said.items():
        remark = "   # an unseen target: evaluated, never trained on" if value is False else ""
        lines.append(f"{key} = {_value(value)}{remark}")
    return "\n".join(lines) + "\n"


def _comment(sentence: str, start: str) -> str:
    """A sentence as lines of a comment; names of files may hold what no TOML may."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in sentence)
    return textwrap.fill(plain, 98, initial_indent=start, subsequent_indent="#   ") + "\n"


def _key(name: str) -> str:
    """A name as a TOML key: bare where it may be."""
    return name if re.fullmatch(r"[a-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """A value as TOML. Raises DataError for text that no file can hold."""
    if isinstance(value, float) and value.is_integer():
        return f"{round(value):_}"
    if isinstance(value, dict):
        pairs = (f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{value!r} is not UTF-8: rename it") from error
    return text


def _objectives_text(domains: dict[str, DomainSpec]) -> str:
    unseen = [name for name, spec in domains.items() if not spec.train]
    trained = [name for name, spec in domains.items() if spec.train]
    text = _OBJECTIVE_HEAD + f"[objective.mean]\nover = {json.dumps(trained)}\n"
    for name in unseen:
        text += f"\n[objective.{_key(name)}]\nover = {json.dumps([name])}\n"
    return text


_SPACE_HEAD = """\
#
# What may be mixed, and to what end. Shares are in tokens of the target's tokenizer.
#
# [domain.NAME]   path: a folder or a file; of tables, column: the one that holds the text, where:
#                 the rows of this domain, {source = "news"}; format and dtype, where endings do not
#                 tell; tokens: unique tokens of the full pool in the target's tokenizer (default:
#                 counted by `mixopt prepare`); bytes_per_token: of the target's tokenizer, where
#                 its file is not at hand; min, max: bounds of the share; max_epochs: how often the
#                 target may repeat it (default 4); group; train
# [groups.NAME]   min, max of the summed share of its domains
# [[constraint]]  name, coefficients = {web = 1, code = -2}, min, max
# [prior]         your own natural shares (default: by tokens)
# [baselines.current]  the mixture that you train on today: proposals must beat it
# [metrics]       "task/arc" = "up" for metrics of your own (bpb, loss and ppl fall)
# [objective.NAME]  kind: relative (default), token, worst, absolute; over; weights; floor

[target]
"""

_OBJECTIVE_HEAD = """
# What is optimised. `relative`: the mean log-ratio of bits per byte to the natural mixture's.
"""

_PROXY = f"""\
# What a proxy is. A change here makes new runs; old ones stay in the table.

preset = "tiny"        # tiny, pico, nano, micro, mini, small, base: sizes in docs/proxies.md
style = "default"      # whose router: default, olmoe, qwen3, deepseek, gptoss
tokens = 200_000       # training tokens of one run
seeds = [1, 2, 3, 4]   # training seeds, one for each block of the swarm
simulated_epochs = true  # repeat each domain as often as the target would

[data]
tokenizer = "bpe"      # bpe: trained on your text; bytes; the path of a tokenizer.json; or none:
                       # the files hold tokens, and vocabulary, eos and dtype say which
vocabulary = {DataSpec().vocabulary}
# eos = 0                # the token that ends a document, where its name does not tell
# column = "text"        # of tables, the column that holds the text
# pool_tokens = 2_000_000  # read at most this many tokens a domain
# near_duplicates = 0.8  # leave out training text this similar to held-out text
# target_tokenizer = "tokenizer.json"  # the target's, where it is another: shares are in its tokens

[evaluation]
windows = 64           # windows for each domain, validation and test alike
# early = [0.5]        # score runs half-way as well: `sample --design mfbo` learns from it
# tasks = {{arc = "arc.jsonl"}}  # gold completions, lines of "prompt" and "completion": task/arc
# metrics = ["package.module:function"]  # your own, see docs/evaluation.md

[confirm]              # one size up, three times the active parameters
sizes = {{width = 96, layers = 3, hidden = 80}}
seeds = [101, 102, 103, 104, 105]
"""
