"""The `assay` command.

Each command lives in a module of its own, which is imported only when it is called: `--help` and
shell completion must not import pandas or MLflow.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from assay import __version__
from assay.cli.groups import LazyGroup
from assay.cli.process import prepare
from assay.core.settings import misspelt
from assay.errors import (
    EXIT_CODES,
    INTERRUPTED,
    AssayError,
    StoreError,
    UsageError,
)
from assay.text import one_line

COMMANDS: Final = {
    "init": ("assay.cli.init", "Create keys, settings and a deployment repository."),
    "run": ("assay.cli.run", "Run a pipeline on this machine."),
    "compile": ("assay.cli.compile", "Write the YAML of every pipeline and component."),
    "submit": ("assay.cli.submit", "Start and follow a pipeline on a cluster."),
    "doctor": ("assay.cli.doctor", "Check everything that a run needs."),
    "show": ("assay.cli.show", "Show an artifact or attestation."),
    "passport": ("assay.cli.passport", "Draw the executions behind a digest."),
    "reproduce": ("assay.cli.reproduce", "Run a step again and compare the digests."),
    "model": ("assay.cli.model", "List, compare and export models."),
    "release": ("assay.cli.release", "Promote, approve, roll back, list and check releases."),
    "store": ("assay.cli.store", "Verify, repair and clean up the store."),
    "monitor": ("assay.cli.monitor", "Draft and measure monitoring plans."),
    "gate": ("assay.cli.gate", "Judge evidence by a policy."),
    "suite": ("assay.cli.suite", "Work with validation suites."),
    "new": ("assay.cli.new", "Create a step of your own from a template."),
    "demo": ("assay.cli.demo", "Run the main job, a release and a rollback."),
    "completion": ("assay.cli.completion", "Print a completion script for the shell."),
}


_FULL: Final = (
    StoreError.exit_code,
    "free space or use another folder; stored artifacts are kept, and the next run continues",
)
_FAULTS: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS), _FULL),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        (UsageError.exit_code, "give this user permission, or use another folder"),
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        (UsageError.exit_code, "a file has the name of a folder that is needed: move it"),
    ),
}
"""Exit code and remedy of the operating system's errors, by their number."""


class _Cli(LazyGroup):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])


@click.version_option(__version__, prog_name="assay")
@click.pass_context
def _cli(ctx: click.Context) -> None:
    """From data to a registered model, with proof of everything behind it.

    Configuration comes from the environment: ASSAY_STORE (default ./.assay/store),
    MLFLOW_TRACKING_URI (default SQLite in ./.assay), ASSAY_SIGNING_KEY, ASSAY_VERIFY_KEYS and
    the other variables in docs/settings.md.

    Where a command takes a DIGEST, a unique prefix is enough; MODEL@ALIAS and MODEL/VERSION name a
    registered model.
    """
    if ctx.invoked_subcommand != "doctor":  # which reports them itself
        for name, meant in misspelt():
            click.echo(f"warning: {name} is not a setting; did you mean {meant}?", err=True)


cli: Final = click.group(
    "assay",
    cls=_Cli,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)(_cli)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: print errors that a user can cause as one line, and exit with their code."""
    prepare()
    try:
        cli(args=arguments, prog_name="assay", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; finished work is kept, and the next run continues", err=True)
        sys.exit(INTERRUPTED)
    except AssayError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno is None:
            # Raised by a library, not by the operating system.
            raise
        code, line = _fault(error)
        click.echo(f"error: {line}", err=True)
        sys.exit(code)


def _fault(error: OSError) -> tuple[int, str]:
    """Exit code and line for an error of the operating system that no other code handles."""
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return UsageError.exit_code, "the current folder was removed; change to an existing one"
    code, remedy = _FAULTS.get(error.errno or 0, (AssayError.exit_code, "check the path"))
    files = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    where = " and ".join(files) or "a file or connection"
    return code, one_line(f"{where}: {error.strerror}; {remedy}")


def _is_somewhere() -> bool:
    try:
        return Path.cwd().exists()
    except FileNotFoundError:
        return False
