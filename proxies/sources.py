"""What `prepare` is asked for: the domains with what must be known of their files, the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import fullmatch
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError, DataError
from mixopt.files import file_name

if TYPE_CHECKING:
    from mixopt.experiment import Experiment

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total), in bytes of the files or of text."""

_LONGEST_NAME = 200  # bytes; file systems hold 255, and some of our files add to it


@dataclass(frozen=True)
class Source:
    """A domain and where its text lies; without `train` it is only evaluated: an unseen target."""

    name: str
    path: Path
    """A folder, or one file."""
    train: bool = True
    format: str | None = None
    """A name of `FORMATS`; None: by the endings of the files."""
    column: str = "text"
    """Of tables, the column that holds the text."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Of tables, the values of columns that a row of this domain has."""
    dtype: str | None = None
    """Of tokens without a header."""
    bytes_per_token: float | None = None
    """Of the target's tokenizer, where it is known and the tokenizer is not at hand."""


@dataclass(frozen=True)
class PrepareSettings:
    """What changes the prepared tokens, besides the text."""

    tokenizer: str = "bpe"
    """`bpe` to train one, `bytes`, the path of a tokenizer.json, or `none` for foreign tokens."""
    vocabulary: int = 4096
    """Tokens of a trained BPE, the end of a document among them; foreign ids lie below it."""
    eos: int | None = None
    """The token that ends a document; needed for foreign tokens, else found in the tokenizer."""
    pool_tokens: int | None = None
    """About how many training tokens to take from each domain, over all its files; None: all."""
    near_duplicates: float | None = None
    """Leave out training text this similar (Jaccard) to held-out text; None: only equal text."""
    target_tokenizer: str | None = None
    """The path of the target's tokenizer.json, to convert counts; None: the same tokenizer."""
    seed: int = 0
    evaluation_bytes: int = 1_000_000
    """Held-out text of each domain for each of validation and test; small domains give less."""

    @property
    def own_tokenizer(self) -> bool:
        """Whether the tokenizer comes with the project: trained here, or bytes."""
        return self.tokenizer in ("bpe", "bytes")


@dataclass
class Meter:
    """Counts the bytes of one stage for the progress bar."""

    report: Progress
    stage: str
    total: int
    done: int = 0

    def advance(self, size: int) -> None:
        """`size` more bytes are done."""
        self.done += size
        self.report(self.stage, self.done, self.total)


def sources_of(experiment: Experiment) -> list[Source]:
    """The domains of `space.toml`; what one does not say itself, [data] of `proxy.toml` says.

    Raises ConfigError for a domain without a path.
    """
    folder, data = experiment.folder, experiment.proxy_file.data
    found = []
    for name, spec in experiment.space_file.domain.items():
        if spec.path is None:
            raise ConfigError(
                f"{folder / 'space.toml'}: domain {name!r} has no `path`: say where its text lies"
            )
        source = Source(
            name,
            Path(os.path.normpath(folder / spec.path)),
            train=spec.train,
            format=spec.format,
            column=spec.column or data.column,
            where=spec.where,
            dtype=spec.dtype or data.dtype,
            bytes_per_token=spec.bytes_per_token,
        )
        found.append(source)
    return found


def settings_of(experiment: Experiment) -> PrepareSettings:
    """[data] of `proxy.toml`.

    Raises ConfigError for foreign tokens without a vocabulary.
    """
    folder, data = experiment.folder, experiment.proxy_file.data
    if data.tokenizer == "none" and "vocabulary" not in data.model_fields_set:
        raise ConfigError(
            f'{folder / "proxy.toml"}: tokenizer = "none" needs the `vocabulary` of the tokens'
        )
    own = data.tokenizer in ("bpe", "bytes", "none")
    target = data.target_tokenizer
    return PrepareSettings(
        tokenizer=data.tokenizer if own else str(folder / data.tokenizer),
        vocabulary=data.vocabulary,
        eos=data.eos,
        pool_tokens=data.pool_tokens,
        near_duplicates=data.near_duplicates,
        target_tokenizer=None if target is None else str(folder / target),
    )


def check_names(sources: Sequence[Source]) -> None:
    """DataError for a domain that could not be a folder, and where none is trained on."""
    for source in sources:
        if not fullmatch(r"[a-z0-9_][a-z0-9_.:-]*", source.name):
            raise DataError(
                f"{source.name!r} is no name of a domain: expected small letters, digits and _.:-"
            )
        if len(file_name(source.name)) > _LONGEST_NAME:
            raise DataError(
                f"the domain {source.name[:20] + '...'!r} has a name of {len(source.name)} "
                f"characters, too long for a folder: expected {_LONGEST_NAME} at most"
            )
    names = [file_name(source.name) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two domains would be written to {name!r}: rename one of them")
    if not any(source.train for source in sources):
        raise DataError("no domain has training text: expected at least one that is not unseen")
