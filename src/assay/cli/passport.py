"""`assay passport`: the tree of executions behind a digest."""

from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from assay.cli.console import NAME, json_option, print_json, stdout, use_defaults
from assay.core.context import services_from_env
from assay.core.provenance import Node, nodes, passport
from assay.core.step import Model
from assay.releases import statement
from assay.releases.statement import Kind, Statement
from assay.text import short


@click.command("passport")
@click.argument("digest", type=NAME)
@click.option("--full", is_flag=True, help="Print full digests.")
@json_option
def command(digest: str, full: bool, as_json: bool) -> None:
    """Draw the tree of executions behind the artifact DIGEST, back to the source data.

    For a registered model, give the digest of its decision, which names all evidence.
    """
    use_defaults()
    services = services_from_env()
    root = passport(services.store, digest, services.verifier)
    given = {
        node.digest: statement.about(services, node.digest)
        for node in nodes(root)
        if node.artifact_type == Model.type
    }
    if as_json:
        print_json([_json(node, given.get(node.digest, [])) for node in nodes(root)])
        return
    stdout.print(_tree(root, None, full, set()), soft_wrap=True)
    for model, statements in given.items():
        for item in statements:
            stdout.print(_stated(model if full else short(model), item), soft_wrap=True)


def _stated(model: str, given: Statement) -> Text:
    """A statement about a model as one line; overrides and revocations in red."""
    against = given.kind in {Kind.OVERRIDE, Kind.REVOCATION}
    until = given.text("until")
    over = " EXPIRED" if until and statement.expired(until) else ""
    parts = [
        given.text("environment"),
        f"by {given.by}",
        given.text("at"),
        given.text("why"),
    ]
    text = " ".join(part for part in parts if part)
    line = Text.assemble((given.kind.value, "bold red" if against else "bold"), f" of {model} ")
    return line.append(f"{text}{f' until {until}' if until else ''}{over}")


def _json(node: Node, statements: list[Statement]) -> dict[str, Any]:
    attestation = node.attestation
    return {
        "digest": node.digest,
        "artifactType": node.artifact_type,
        "otherRecords": node.other_attestations,
        "inputs": [{"name": name, "digest": child.digest} for name, child in node.inputs],
        "attestation": attestation and attestation.digest,
        "signedBy": attestation and attestation.signed_by,
        "admittedBy": attestation and attestation.admitted_by,
        "statement": attestation and attestation.statement(),
        "stated": [
            {"kind": item.kind.value, "digest": item.digest, "signedBy": item.signed_by}
            | dict(item.predicate)
            for item in statements
        ],
    }


def _tree(node: Node, name: str | None, full: bool, seen: set[str]) -> Tree:
    tree = Tree(_label(node, name, full))
    if node.digest in seen and node.inputs:
        tree.add(Text("(as above)", style="dim"))
        return tree
    seen.add(node.digest)
    for input_name, child in node.inputs:
        tree.children.append(_tree(child, input_name, full, seen))
    for source_name, source in (node.attestation.sources if node.attestation else {}).items():
        shown = source.digest if full else short(source.digest)
        tree.add(Text.assemble((f"{source_name} ", "cyan"), f"{source.uri} ", (shown, "dim")))
    return tree


def _label(node: Node, name: str | None, full: bool) -> Text:
    digest = node.digest if full else short(node.digest)
    kind = node.artifact_type.removeprefix("application/vnd.assay.").removesuffix(".v1")
    label = Text.assemble((f"{name} " if name else "", "cyan"), (kind, "bold"), f" {digest}")
    attestation = node.attestation
    if attestation is None:
        return label.append("  no attestation", style="red")
    label.append(f"  made by {attestation.step}", style="green")
    label.append(f" {attestation.details.started}", style="dim")
    unsigned = f" admitted by {attestation.admitted_by}" if attestation.admitted_by else " unsigned"
    label.append(" signed" if attestation.signed_by else unsigned, style="dim")
    verdict = attestation.values.get("verdict")
    if verdict:
        label.append(f" verdict {verdict}", style="green" if verdict == "pass" else "red")
    if node.other_attestations:
        label.append(f" (+{node.other_attestations} more attestations)", style="dim")
    return label
