"""The shape of the repository: who may import whom, what an import costs, what each file is for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("mixopt", "proxies", "cli")
ALLOWED = {
    "mixopt": {"mixopt"},
    "proxies": {"mixopt", "proxies"},
    "cli": {"mixopt", "proxies", "cli"},
}
TORCH_HOMES = ("mixopt/bo/", "mixopt/online/torch_", "mixopt/domains/embed.py")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = ("numpy", "scipy", "pandas", "torch", "lightgbm", "sklearn", "pydantic")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    ours = imported(path) & set(PACKAGES)
    assert ours <= ALLOWED[package], f"{package} may not import {ours - ALLOWED[package]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_has_few_homes(path):
    name = str(path.relative_to(ROOT))
    if not name.startswith(("proxies/", *TORCH_HOMES)):
        assert not imported(path) & {"torch", "botorch", "gpytorch"}


@pytest.mark.parametrize(
    "path",
    [
        *SOURCES,
        *sorted((ROOT / "tests").rglob("*.py")),
        *sorted((ROOT / "examples").rglob("*.py")),
        *sorted((ROOT / "benchmarks").rglob("*.py")),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_file_says_what_it_is_for(path):
    first = path.read_text().lstrip().splitlines()[0]
    if first.startswith("#!"):
        first = path.read_text().splitlines()[1]
    assert first.startswith(('"""', 'r"""')), "the first line is a docstring"
    assert len(first) > 20


@pytest.mark.parametrize("module", ["mixopt", "cli.main"])
def test_importing_loads_nothing_heavy(module):
    heavy = HEAVY if module == "mixopt" else tuple(set(HEAVY) - {"pydantic"})
    script = f"import sys, {module}; print(*[n for n in {heavy!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def test_public_names_can_be_imported():
    import mixopt

    for name in mixopt.__all__:
        assert getattr(mixopt, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mixopt.nothing  # pyright: ignore[reportAttributeAccessIssue]
