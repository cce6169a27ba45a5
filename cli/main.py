"""The entry point: which commands there are, and what an error looks like from outside."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from cli.calibrate import calibrate
from cli.compare import compare
from cli.confirm import confirm
from cli.export import export
from cli.fit import fit
from cli.import_ import import_
from cli.init import init
from cli.loop import loop
from cli.predict import predict
from cli.prepare import prepare
from cli.propose import propose
from cli.record import record
from cli.reuse import reuse
from cli.sample import sample
from cli.screen import emit
from cli.status import status
from cli.train_proxies import train_proxies
from mixopt.errors import MixoptError

INTERRUPTED = 130

_EXTRA = ("torch", "tokenizers", "safetensors")

_UsageError: Any = typer.BadParameter.__mro__[1]
"""click's UsageError: typer exports only what is derived from it, and may carry its own click."""

app = typer.Typer(
    name="mixopt",
    help="Choose the data mixture of a large MoE language model with small proxy runs.",
    epilog="Text in, mixture out: init, prepare, sample, train-proxies, fit, propose, confirm, "
    "export. Every command takes the experiment's folder and can be repeated.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command()(init)
app.command()(prepare)
app.command()(calibrate)
app.command()(reuse)
app.command()(sample)
app.command("train-proxies")(train_proxies)
app.command()(record)
app.command("import")(import_)
app.command()(fit)
app.command()(predict)
app.command()(propose)
app.command()(confirm)
app.command()(compare)
app.command()(loop)
app.command()(export)
app.command()(status)


def run() -> None:
    """Run the command line; the exit code tells what kind of end it came to."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # many small matrices: threads only wait
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code (0 ok, 1 error, 2 usage, 3 bad config or data,
    4 some runs failed, 5 infeasible, 75 interrupted and resumable, 130 Ctrl-C)."""
    try:
        return app(arguments, prog_name="mixopt", standalone_mode=False) or 0
    except MixoptError as error:
        sys.stderr.write(f"mixopt: {error}\n")
        if "--json" in arguments:
            emit({"error": str(error), "exit_code": error.exit_code})
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        line = "pip install 'mixopt[proxies]'"
        sys.stderr.write(f"mixopt: {arguments[0]} needs {error.name}: {line}\n")
        return 1
    except _UsageError as error:
        error.show()
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("mixopt: interrupted, the same command resumes\n")
        return INTERRUPTED


if __name__ == "__main__":
    run()
