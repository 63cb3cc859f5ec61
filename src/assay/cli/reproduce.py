"""`assay reproduce`: execute a step again and compare the digests."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
from rich.progress import Progress

from assay.cli.console import (
    NAME,
    json_option,
    print_json,
    print_table,
    stderr,
    use_defaults,
)
from assay.core.attestation import Attestation
from assay.core.code_identity import VERSION as CODE_VERSION
from assay.core.context import store_from_env
from assay.core.environment import inherited
from assay.core.provenance import find_attestation, nodes, passport
from assay.core.signing import verifier_from_env
from assay.errors import AssayError, IntegrityError
from assay.runtime.task_group import task_group
from assay.text import short

OUTCOMES = {
    "equal": "bit-identical",
    "differs": "DIFFERS",
    "measured": "measured, not compared",
    "acts": "has side effects, not run again",
    "failed": "FAILED",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One output of a step: the attested digest and the new one."""

    step: str
    output: str
    recorded: str
    again: str
    outcome: str
    note: str = ""


@click.command("reproduce")
@click.argument("digest", type=NAME)
@click.option("--all", "everything", is_flag=True, help="Also every step that it is based on.")
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False),
    default=sys.executable,
    help="Python interpreter of the environment to run in.",
)
@click.option(
    "--allow-module", multiple=True, help="Admit steps of this module of yours; repeatable."
)
@json_option
def command(
    digest: str, everything: bool, python: str, allow_module: tuple[str, ...], as_json: bool
) -> None:
    """Execute the step that made DIGEST again, in a new process and folder, and compare digests.

    DIGEST names an artifact or an attestation. Nothing is written to the store. Exit code 6 if an
    output that should be the same differs.
    """
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    attestation = find_attestation(store, digest, verifier)
    attestations = [attestation]
    if everything:
        behind = [
            node.attestation
            for output in attestation.outputs.values()
            for node in nodes(passport(store, output.digest, verifier))
            if node.attestation is not None
        ]
        attestations = list({item.digest: item for item in [*behind, attestation]}.values())
    rows: list[Row] = []
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        shown = bar.add_task("reproducing", total=len(attestations))
        for item in attestations:
            bar.update(shown, description=f"reproducing {item.step}")
            rows += _reproduce(item, python, allow_module)
            bar.advance(shown)
    if as_json:
        print_json([{field: getattr(row, field) for field in Row.__slots__} for row in rows])
    else:
        print_table(
            ["step", "output", "recorded", "again", "outcome"],
            [
                (r.step, r.output, short(r.recorded), short(r.again), OUTCOMES[r.outcome] + r.note)
                for r in rows
            ],
        )
    bad = [f"{row.step}.{row.output}" for row in rows if row.outcome in {"differs", "failed"}]
    if bad:
        raise IntegrityError(
            f"not reproduced: {', '.join(bad)}; compare the environment and the code with the "
            "attestation (assay show)"
        )


def _reproduce(attestation: Attestation, python: str, allow_module: tuple[str, ...]) -> list[Row]:
    if attestation.side_effects:
        return [
            Row(attestation.step, name, output.digest, "", "acts")
            for name, output in attestation.outputs.items()
        ]
    arguments = [python, "-m", "assay.runtime.rerun", attestation.digest]
    for module in allow_module:
        arguments += ["--allow-module", module]
    environment = inherited(ASSAY_EVENTS="", PYTHONHASHSEED="0")
    with (
        tempfile.TemporaryDirectory(prefix="assay-reproduce-") as folder,
        task_group() as group,
        group.started(
            arguments,
            environment,
            cwd=Path(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        output_text, errors = process.communicate()
    if process.returncode:
        reason = (errors.strip().splitlines() or ["no reason given"])[-1]
        note = f": {reason.removeprefix('error: ')}"
        return [
            Row(attestation.step, name, output.digest, "", "failed", note)
            for name, output in attestation.outputs.items()
        ]
    try:
        again = json.loads(output_text.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise AssayError(
            f"reproduce: no answer from {python}; is kfp-assay installed there?"
        ) from error
    by_code = _compare_code(again["code"], attestation)
    rows = []
    for name, output in attestation.outputs.items():
        actual = again["outputs"].get(name, "")
        equal = "equal" if actual == output.digest else "differs"
        rows.append(
            Row(
                attestation.step,
                name,
                output.digest,
                actual,
                equal if output.reproducible else "measured",
                by_code,
            )
        )
    return rows


def _compare_code(again: str, attestation: Attestation) -> str:
    """A note on the code that ran, compared with the attested code."""
    if again == attestation.code_digest:
        return ""
    if attestation.code.version != CODE_VERSION:
        # The versions digest different files, so their digests differ even for unchanged code.
        return f" (code digest of version {attestation.code.version}, not compared)"
    return " (by other code)"
