"""The two files that people write: `space.toml` (what may be mixed, and to what end) and
`proxy.toml` (what a proxy is). An unknown key is an error with its line and the nearest known key.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from mixopt.errors import ConfigError, nearest

Name = Annotated[str, Field(pattern=r"^[a-z0-9_.:-]+$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Table(BaseModel):
    """A table of a file: unknown keys are refused, values are never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DomainSpec(Table):
    """`[domain.NAME]`: one pool of text."""

    path: str | None = None
    """A folder or a file, seen from the folder of `space.toml`."""
    format: str | None = None
    """How its documents lie in files; default: by their endings."""
    column: str | None = None
    """Of tables, the column that holds the text; default: that of [data]."""
    where: dict[str, str] = {}
    """Of tables, the rows of this domain: columns and the values that they have."""
    dtype: str | None = None
    """Of tokens without a header, such as "uint16"; default: that of [data]."""
    tokens: Positive | None = None
    """Unique tokens of the full pool in the target's tokenizer; default: the manifest's count."""
    bytes_per_token: Positive | None = None
    """Bytes of text that a token of the target's tokenizer stands for; default: the manifest's."""
    group: str | None = None
    min: Share | None = None
    """Smallest share; None: the default floor of the space."""
    max: Share = 1.0
    max_epochs: Positive = 4.0
    train: StrictBool = True
    """False: an unseen target, evaluated but never trained on, and no column of the space."""


class Limits(Table):
    """`[groups.NAME]`: limits on the summed share of a group's domains."""

    min: Share = 0.0
    max: Share = 1.0


class ConstraintSpec(Table):
    """`[[constraint]]`: min <= sum of coefficient x share <= max."""

    name: str
    coefficients: dict[str, float]
    min: float | None = None
    max: float | None = None


class TargetSpec(Table):
    """`[target]`: the full-size run."""

    tokens: Positive | None = None
    phases: list[Positive] = [1.0]
    """Fractions of training; more than one makes a schedule."""


class FloorSpec(Table):
    """`floor` of an objective: no metric of it more than `percent` worse than a baseline."""

    against: str = "natural"
    percent: Positive = 1.0


class ObjectiveSpec(Table):
    """`[objective.NAME]`: what to optimise over metrics."""

    kind: Literal["relative", "token", "worst", "absolute"] = "relative"
    over: list[str] | None = None
    """Domains or metrics; default: every evaluation domain."""
    weights: dict[str, Positive] | None = None
    """Relative importance by the names in `over`; default: equal."""
    floor: FloorSpec | None = None


class SpaceFile(Table):
    """`space.toml`."""

    origin: ClassVar[str] = "`mixopt init` or `mixopt import` writes one"

    domain: dict[Name, DomainSpec]
    groups: dict[str, Limits] = {}
    constraint: list[ConstraintSpec] = []
    target: TargetSpec = TargetSpec()
    prior: dict[str, Share] | None = None
    baselines: dict[str, dict[str, Share]] = {}
    metrics: dict[str, Literal["up", "down"]] = {}
    objective: dict[str, ObjectiveSpec] = {"mean": ObjectiveSpec()}


class DataSpec(Table):
    """`[data]`: how text becomes tokens (read by `prepare`)."""

    tokenizer: str = "bpe"
    """`bpe` (trained here), `bytes`, the path of a `tokenizer.json`, or `none`: foreign tokens."""
    vocabulary: Count = 4096
    """Tokens of the BPE that is trained, or of the foreign ones."""
    eos: Annotated[int, Field(ge=0)] | None = None
    """The token that ends a document: of foreign tokens, and where its name is not a known one."""
    column: str = "text"
    """Of tables, the column that holds the text."""
    dtype: str | None = None
    """Of tokens without a header."""
    near_duplicates: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Leave out training text this similar to held-out text; default: only equal documents."""
    target_tokenizer: str | None = None
    """The path of the target's `tokenizer.json`; default: the target has the proxies' tokenizer."""
    pool_tokens: Count | None = None
    """Read at most this many tokens a domain, sampled over all its files; default: everything."""


class EvaluationSpec(Table):
    """`[evaluation]`: no part of a run's identity."""

    windows: Count = 64
    """Windows of the proxy's context for each domain."""
    early: list[Annotated[float, Field(gt=0.0, lt=1.0)]] = []
    """Shares of a run's tokens at which it is scored as well, as `bpb@0.5/DOMAIN`."""
    tasks: dict[Name, str] = {}
    """JSON lines of `prompt` and `completion`, seen from the folder: metric `task/NAME`, bits per
    byte of the completions."""
    metrics: list[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]] = []
    """Functions of the user's own, "package.module:function", that are given a `Scorer`."""


class ConfirmSpec(Table):
    """`[confirm]`: the same proxy, one size up; what is not named stays as above."""

    preset: str | None = None
    tokens: Count | None = None
    sizes: dict[str, int] = {}
    training: dict[str, float] = {}
    seeds: list[int] = Field(default=[101, 102, 103, 104, 105], min_length=2)
    by_power: StrictBool = False
    """As many seeds, 3 to 10, as show half the predicted gain in 4 of 5 cases; `seeds` first."""
    scale: tuple[float, float] | None = None
    """(parameters, active parameters) of a model trained in another stack."""
    proposals: Count = 1
    """Proposals trained for each objective."""


class ProxyFile(Table):
    """`proxy.toml`."""

    origin: ClassVar[str] = "`mixopt init` writes one, and `tokens = 1_000_000` in it is enough"

    preset: str = "tiny"
    style: Literal["default", "olmoe", "qwen3", "deepseek", "gptoss"] = "default"
    """The family of models whose router and balancing the proxies have."""
    tokens: Count
    """Training tokens of one run."""
    seeds: list[int] = Field(default=[1, 2, 3, 4], min_length=1)
    """Training seeds, one for each block."""
    sizes: dict[str, int] = {}
    """Sizes that differ from the preset's."""
    training: dict[str, float] = {}
    """Training settings that differ from the preset's."""
    scale: tuple[float, float] | None = None
    """(parameters, active parameters) of a proxy trained in another stack."""
    simulated_epochs: StrictBool = True
    """Proxies repeat each domain as often as the target would."""
    data: DataSpec = DataSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    confirm: ConfirmSpec = ConfirmSpec()
    controller: dict[str, dict[str, Any]] = {}
    """`[controller.NAME]`: settings of controllers that differ from their defaults."""

    def identity(self) -> dict[str, Any]:
        """What changes the training of a swarm's run, and so its id."""
        return _identity(
            self.preset,
            self.style,
            self.tokens,
            self.sizes,
            self.training,
            self.simulated_epochs,
        )

    def confirm_identity(self) -> dict[str, Any]:
        """What changes the training of a confirming run."""
        spec = self.confirm
        return _identity(
            spec.preset or self.preset,
            self.style,
            spec.tokens or self.tokens,
            {**self.sizes, **spec.sizes},
            {**self.training, **spec.training},
            self.simulated_epochs,
        )


def read_space(path: Path) -> SpaceFile:
    """Read and check `space.toml`."""
    spec = _read(path, SpaceFile)
    _check_names(path, spec)
    return spec


def read_proxy(path: Path) -> ProxyFile:
    """Read and check `proxy.toml`."""
    return _read(path, ProxyFile)


def line_of(text: str, keys: tuple[str | int, ...]) -> int:
    """The line (from 1) on which a key of a TOML text stands; of its nearest parent if inline.

    >>> line_of("[domain.web]\\ntokens = 1\\n", ("domain", "web", "tokens"))
    2
    """
    wanted = [str(key) for key in keys if not isinstance(key, int)]
    best, depth, table = 1, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[{1,2}([^\[\]]+)\]{1,2}", line)
        if header:
            table = _dotted(header[1])
            path = table
        elif key := re.match(r"\s*((?:[\w.:-]+|\"[^\"]*\"|'[^']*'|\s*\.\s*)+?)\s*=", line):
            path = table + _dotted(key[1])
        else:
            continue
        if len(path) > depth and path == wanted[: len(path)]:
            best, depth = number, len(path)
    return best


_Spec = TypeVar("_Spec", SpaceFile, ProxyFile)


def _read(path: Path, model: type[_Spec]) -> _Spec:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist: {model.origin}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} could not be read as UTF-8 text: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(path, text, model, error)) from error


def _sentence(path: Path, text: str, model: type[Table], error: ValidationError) -> str:
    """The first of pydantic's findings as one sentence with file, line and key."""
    first = error.errors()[0]
    keys = first["loc"]
    where = f"{path}:{line_of(text, keys)}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys)[1:]
    if first["type"] == "extra_forbidden":
        hint = nearest(str(keys[-1]), _fields_at(model, keys[:-1]))
        return f"{where}: unknown key {key!r}, {hint}"
    if first["type"] == "missing":
        return f"{where}: {key!r} is missing, please add it"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {key!r} {message}, got {first['input']!r}"


def _fields_at(model: type[Table], keys: tuple[str | int, ...]) -> list[str]:
    """The keys known to the table at `keys` below `model`."""
    here: Any = model
    entry = False  # the next key is an entry of a dict or list, not a field
    for key in keys:
        if entry or here is None:
            entry = False
            continue
        annotation = here.model_fields[str(key)].annotation
        here = _table_in(annotation)
        entry = getattr(annotation, "__origin__", None) in (dict, list)
    return sorted(here.model_fields) if here is not None else []


def _table_in(annotation: Any) -> Any:
    """The Table inside an annotation such as `dict[str, DomainSpec]` or `FloorSpec | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _table_in(argument)
        if found is not None:
            return found
    return None


def _check_names(path: Path, spec: SpaceFile) -> None:
    """Every domain that a table names exists."""
    text = path.read_text(encoding="utf-8")
    trained = [name for name, domain in spec.domain.items() if domain.train]
    if not trained:
        raise ConfigError(f"{path}: no domain to train on, please add [domain.NAME] tables")
    named = [(("prior", name), name) for name in spec.prior or {}]
    for label, mixture in spec.baselines.items():
        named += [(("baselines", label, name), name) for name in mixture]
    for index, constraint in enumerate(spec.constraint):
        named += [(("constraint", index, name), name) for name in constraint.coefficients]
    for keys, name in named:
        if name not in trained:
            hint = nearest(name, trained)
            raise ConfigError(f"{path}:{line_of(text, keys)}: no domain is called {name!r}, {hint}")
    for name, domain in spec.domain.items():
        if domain.group is not None and domain.group not in spec.groups:
            line = line_of(text, ("domain", name, "group"))
            hint = f"please add [groups.{domain.group}]"
            raise ConfigError(f"{path}:{line}: no group is called {domain.group!r}, {hint}")


def _dotted(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.\s]+', key)]


def _identity(
    preset: str,
    style: str,
    tokens: int,
    sizes: Mapping[str, int],
    training: Mapping[str, float],
    simulated_epochs: bool,
) -> dict[str, Any]:
    return {
        "preset": preset,
        **({} if style == "default" else {"style": style}),  # runs of older tables keep their ids
        "tokens": tokens,
        "sizes": dict(sorted(sizes.items())),
        "training": dict(sorted(training.items())),
        "simulated_epochs": simulated_epochs,
    }
