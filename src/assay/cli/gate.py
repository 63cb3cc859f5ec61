"""`assay gate`: judge evidence by a policy."""

from pathlib import Path

import click

from assay.cli.console import NAME, json_option, print_json, print_table
from assay.documents import read_regular
from assay.errors import RunBlocked, RunInconclusive


@click.command("gate")
@click.option("--policy", required=True, type=click.Path(path_type=Path), help="Policy, YAML.")
@click.option(
    "--evidence",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Evidence document, JSON; may be given several times.",
)
@click.option(
    "--model", type=NAME, default="", help="The model (default: the one that the evidence names)."
)
@json_option
def command(policy: Path, evidence: tuple[Path, ...], model: str, as_json: bool) -> None:
    """Judge evidence by a policy; needs neither store nor network.

    Exit code 0 means pass, 4 blocked, 5 inconclusive.
    """
    from assay.governance.policy import replay

    decision = replay(_read(policy), [_read(path) for path in evidence], model or None)
    if as_json:
        print_json(decision.to_dict())
    else:
        rows = [(row.outcome, row.text, row.explanation) for row in decision.rows]
        print_table(["outcome", "rule", "why"], rows)
        click.echo(f"verdict: {decision.verdict}")
    if decision.verdict == "block":
        raise RunBlocked(decision.reason)
    if decision.verdict != "pass":
        raise RunInconclusive(decision.reason)


def _read(path: Path) -> bytes:
    from assay.governance.policy import MAX_POLICY_BYTES

    return read_regular(path, 16 * MAX_POLICY_BYTES, "gate")
