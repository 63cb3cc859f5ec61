"""`assay passport`: the tree of executions behind a digest."""

from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from assay.cli.console import NAME, json_option, print_json, stdout, use_defaults
from assay.core.context import store_from_env
from assay.core.provenance import Node, nodes, passport
from assay.core.signing import verifier_from_env
from assay.core.step import Model
from assay.releases import statement
from assay.releases.statement import Kind, Statement
from assay.text import short


@click.command("passport")
@click.argument("digest", type=NAME)
@click.option("--full", is_flag=True, help="Print digests whole.")
@json_option
def command(digest: str, full: bool, as_json: bool) -> None:
    """Draw the tree of executions behind the artifact DIGEST, back to the source data.

    For all that was found out about a registered model, give the digest of its decision, which
    names every piece of evidence.
    """
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    root = passport(store, digest, verifier)
    given = {
        node.digest: statement.about(store, node.digest, verifier)
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
    """What a person stated about a model, in a line; what goes against it in red."""
    against = given.kind in {Kind.OVERRIDE, Kind.REVOCATION}
    until = given.text("until")
    over = " EXPIRED" if until and statement.expired(until) else ""
    told = [
        given.text("environment"),
        f"by {given.by}",
        given.text("at"),
        given.text("why"),
    ]
    text = " ".join(part for part in told if part)
    line = Text.assemble((given.kind.value, "bold red" if against else "bold"), f" of {model} ")
    return line.append(f"{text}{f' until {until}' if until else ''}{over}")


def _json(node: Node, statements: list[Statement]) -> dict[str, Any]:
    record = node.record
    return {
        "digest": node.digest,
        "artifactType": node.artifact_type,
        "otherRecords": node.other_records,
        "inputs": [{"name": name, "digest": child.digest} for name, child in node.inputs],
        "attestation": record and record.digest,
        "signedBy": record and record.signed_by,
        "admittedBy": record and record.admitted_by,
        "statement": record and record.statement(),
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
    for source_name, source in (node.record.sources if node.record else {}).items():
        shown = source.digest if full else short(source.digest)
        tree.add(Text.assemble((f"{source_name} ", "cyan"), f"{source.uri} ", (shown, "dim")))
    return tree


def _label(node: Node, name: str | None, full: bool) -> Text:
    digest = node.digest if full else short(node.digest)
    kind = node.artifact_type.removeprefix("application/vnd.assay.").removesuffix(".v1")
    label = Text.assemble((f"{name} " if name else "", "cyan"), (kind, "bold"), f" {digest}")
    record = node.record
    if record is None:
        return label.append("  no attestation", style="red")
    label.append(f"  made by {record.step}", style="green")
    label.append(f" {record.details.started}", style="dim")
    unsigned = f" admitted by {record.admitted_by}" if record.admitted_by else " unsigned"
    label.append(" signed" if record.signed_by else unsigned, style="dim")
    verdict = record.values.get("verdict")
    if verdict:
        label.append(f" verdict {verdict}", style="green" if verdict == "pass" else "red")
    if node.other_records:
        label.append(f" (+{node.other_records} more attestations)", style="dim")
    return label
