"""`assay doctor`: check everything that a run needs."""

import sys
from pathlib import Path

import click

from assay.cli.compile import read_profile
from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.cluster.doctor import examine
from assay.cluster.doctor.checks import LIMIT_SECONDS, exit_code
from assay.cluster.doctor.ground import ground
from assay.runtime.images import read_images


@click.command("doctor")
@click.option("--endpoint", default="", help="URL of KFP's API (default: KFP_ENDPOINT).")
@click.option(
    "--namespace", default="", help="Namespace of the Secrets (default: the kubeconfig's)."
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    help="Profile with the names of the Secrets; YAML.",
)
@click.option(
    "--images", type=click.Path(path_type=Path), help="JSON file: role to image reference."
)
@click.option(
    "--limit",
    type=click.FloatRange(1),
    default=LIMIT_SECONDS,
    show_default=True,
    help="Seconds for all checks; they run at the same time.",
)
@json_option
def command(
    endpoint: str,
    namespace: str,
    profile: Path | None,
    images: Path | None,
    limit: float,
    as_json: bool,
) -> None:
    """Check store, clock, MLflow, signing key, KFP, Secrets and images, with a remedy per line.

    What a check writes is removed again. Exit code 0 if nothing failed, with or without warnings;
    2 if a setting is wrong, 7 if the store failed, 8 if another check failed. The pipeline `doctor`
    does the same inside the cluster.
    """
    use_defaults()
    pulled = list(read_images(images, development=True).values()) if images else []
    named = read_profile(profile) if profile else None
    findings = examine(ground(endpoint, namespace, pulled, named), limit)
    if as_json:
        print_json(
            [
                {
                    "check": item.check,
                    "status": item.status.value,
                    "detail": item.detail,
                    "remedy": item.remedy,
                }
                for item in findings
            ]
        )
    else:
        print_table(
            ["check", "status", "found", "remedy"],
            [(item.check, item.status.value, item.detail, item.remedy) for item in findings],
        )
    sys.stdout.flush()
    sys.exit(exit_code(findings))
