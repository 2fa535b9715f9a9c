"""The command line: one verb per file. Only this package prints and exits."""

import io
import os
import sys
import warnings
from typing import Annotated

import typer

from linbench import __version__
from linbench.cli.baseline import baseline
from linbench.cli.compare import compare
from linbench.cli.env import env
from linbench.cli.export import export
from linbench.cli.gate import gate
from linbench.cli.grid import with_flags
from linbench.cli.history import history
from linbench.cli.listing import list_
from linbench.cli.paper import paper
from linbench.cli.report import report
from linbench.cli.scaling import scaling
from linbench.cli.show import show
from linbench.cli.sweep import sweep
from linbench.errors import LinbenchError

HELP = """Measure how self-attention scales with sequence length, and prove it.

linbench sweeps sequence length n, projected dimension k and sharing mode over vanilla attention,
fused exact attention and Linformer, measures time and peak memory in fresh processes, fits scaling
laws with intervals and renders reports.

Start with `linbench sweep --seq 512..65536`, then `linbench report latest`.

Exit codes: 0 done, 1 a regression, failed assertion or wrong case, 2 wrong usage or input,
3 no verdict possible, 130 interrupted (what was measured is kept).
"""

VERBS = (
    sweep, scaling, report, compare, history, paper, gate, baseline, export, list_, show, env,
)  # fmt: skip


def application(verb: str | None = None) -> typer.Typer:
    """Make the command line.

    Args:
        verb: The verb that will run; flags are made for it alone, since what they are derived from
            takes as long to load as all the rest. None: for all.
    """
    app = typer.Typer(
        name="linbench",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in VERBS:
        name = command.__name__.strip("_")
        app.command(name)(with_flags(command, made=verb in (None, name)))
    return app


def _print_version(value: bool) -> None:
    if value:
        print(f"linbench {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options before any verb."""


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    print(f"linbench: warning: {message}", file=sys.stderr)


def __getattr__(name: str) -> typer.Typer:
    """Make `app`, the command line with all its flags, when it is asked for."""
    if name == "app":
        return application()
    raise AttributeError(name)


def main() -> None:
    """Run the command line; the one place where a LinbenchError becomes a line and an exit code."""
    warnings.showwarning = _one_line
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 gets ? for it
    try:
        application(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))()
    except LinbenchError as error:
        print(f"linbench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("linbench: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output (head, less) has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        where = f" '{error.filename}'" if error.filename else ""
        print(f"linbench: {error.strerror or error}{where}", file=sys.stderr)
        sys.exit(2)
