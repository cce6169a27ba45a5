"""init: write `space.toml` and `proxy.toml` for a corpus, with comments that teach."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.config import read_proxy, read_space
from mixopt.errors import ConfigError, DataError
from mixopt.files import write_atomic

_COLUMNS = ("name", "tokens", "path", "group", "max_epochs", "train")
_NAME = re.compile(r"[a-z0-9_.:-]+")


@dataclass(frozen=True)
class Written:
    """The files of a new study."""

    space: Path
    proxy: Path
    domains: tuple[str, ...]
    has_text: bool
    """Whether every domain has a path to prepare."""

    def to_json(self) -> dict[str, Any]:
        """The files for machines."""
        files = {"space": str(self.space), "proxy": str(self.proxy)}
        return {**files, "domains": list(self.domains)}


def init_study(folder: Path, source: Path, target_tokens: float | None) -> Written:
    """Write the two files for a corpus folder (one folder a domain) or a `domains.csv`.

    Raises ConfigError where the files exist already, DataError where the source is no corpus.
    """
    space, proxy = folder / "space.toml", folder / "proxy.toml"
    for path in (space, proxy):
        if path.exists():
            raise ConfigError(f"{path} exists already: edit it, or choose another folder")
    if not source.exists():
        raise DataError(f"{source} does not exist: expected a corpus folder or a domains.csv")
    if source.is_dir():
        listed = source / "domains.csv"
        domains = _from_csv(listed) if listed.exists() else _from_folders(source)
    else:
        domains = _from_csv(source)
    if not domains:
        raise DataError(f"{source} names no domain: expected a folder for each domain")
    write_atomic(space, _space_text(domains, folder, target_tokens))
    write_atomic(proxy, _PROXY)
    read_space(space)
    read_proxy(proxy)
    has_text = all("path" in row for row in domains)
    return Written(space, proxy, tuple(row["name"] for row in domains), has_text)


def _from_folders(source: Path) -> list[dict[str, str]]:
    """A domain for each folder, named by it."""
    rows = []
    for path in sorted(item for item in source.iterdir() if item.is_dir()):
        if path.name.startswith("."):
            continue
        name = path.name.replace("__", ":")
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{path}: a domain is named with a-z 0-9 _ . : - only, please rename the folder"
            )
        rows.append({"name": name, "path": str(path)})
    return rows


def _from_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a `domains.csv`: name, and any of tokens, path, group, max_epochs, train."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} could not be read as a CSV: {error}") from error
    header = list(rows[0]) if rows else []
    for column in header:
        if column not in _COLUMNS:
            raise DataError(f"{path}: unknown column {column!r}, known: {', '.join(_COLUMNS)}")
    if "name" not in header:
        raise DataError(f"{path}: expected a header line with the column 'name'")
    for number, row in enumerate(rows, start=2):
        if not _NAME.fullmatch(row["name"] or ""):
            raise DataError(
                f"{path}:{number}: a domain is named with a-z 0-9 _ . : - only, got {row['name']!r}"
            )
    kept = [{key: value for key, value in row.items() if value} for row in rows]
    return [_anchored(row, path.parent) for row in kept]


def _anchored(row: dict[str, str], base: Path) -> dict[str, str]:
    return row if "path" not in row else {**row, "path": str(base / row["path"])}


def _space_text(domains: list[dict[str, str]], folder: Path, target_tokens: float | None) -> str:
    groups = sorted({row["group"] for row in domains if "group" in row})
    parts = [_SPACE_HEAD]
    if target_tokens is None:
        parts.append("# tokens = 1_000_000_000_000   # without it there are no caps\n")
    else:
        parts.append(f"tokens = {round(target_tokens):_}\n")
    parts += [_domain_text(row, folder) for row in domains]
    parts += [f"\n[groups.{_key(name)}]\nmin = 0.0\nmax = 1.0\n" for name in groups]
    parts.append(_objectives_text(domains))
    return "".join(parts)


def _domain_text(row: dict[str, str], folder: Path) -> str:
    lines = [f"\n[domain.{_key(row['name'])}]"]
    if "path" in row:
        lines.append(f"path = {json.dumps(os.path.relpath(row['path'], folder))}")
    lines += [f"{key} = {row[key]}" for key in ("tokens", "max_epochs") if key in row]
    if "group" in row:
        lines.append(f"group = {json.dumps(row['group'])}")
    if row.get("train", "true").lower() in _FALSE:
        lines.append("train = false   # an unseen target: evaluated, never trained on")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A name as a TOML key: bare where it may be."""
    return name if re.fullmatch(r"[a-z0-9_-]+", name) else json.dumps(name)


def _objectives_text(domains: list[dict[str, str]]) -> str:
    unseen = [row["name"] for row in domains if row.get("train", "true").lower() in _FALSE]
    trained = [row["name"] for row in domains if row["name"] not in unseen]
    text = _OBJECTIVE_HEAD + f"[objective.mean]\nover = {json.dumps(trained)}\n"
    for name in unseen:
        text += f"\n[objective.{_key(name)}]\nover = {json.dumps([name])}\n"
    return text


_FALSE = ("false", "0", "no")

_SPACE_HEAD = """\
# What may be mixed, and to what end. Shares are in tokens of the target's tokenizer.
#
# [domain.NAME]   path: folder of text; tokens: unique tokens of the full pool in the target's
#                 tokenizer (default: counted by `mixopt prepare`); min, max: bounds of the share;
#                 max_epochs: how often the target may repeat it (default 4); group; train
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

_PROXY = """\
# What a proxy is. A change here makes new runs; old ones stay in the table.

preset = "tiny"        # tiny, pico, nano: see `proxies/presets.py` for their sizes
tokens = 200_000       # training tokens of one run
seeds = [1, 2, 3, 4]   # training seeds, one for each block of the swarm
simulated_epochs = true  # repeat each domain as often as the target would

[data]
tokenizer = "bpe"      # bpe: trained on your text; bytes; or the path of a tokenizer.json
vocabulary = 4096
# pool_tokens = 2_000_000  # read at most this many tokens a domain

[evaluation]
windows = 64           # windows for each domain, validation and test alike

[confirm]              # one size up: the proposals against every baseline
sizes = {width = 96, layers = 3}
seeds = [101, 102, 103, 104, 105]
"""
