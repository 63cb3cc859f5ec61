"""`assay release list`: the release log."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.core.context import services_from_env
from assay.core.resolve import like
from assay.errors import IntegrityError, ServiceError, UsageError
from assay.text import short

if TYPE_CHECKING:
    from assay.core.step import Services
    from assay.releases.log import Entry


@click.command("list")
@click.argument("model_name", required=False, default="")
@click.argument("environment", required=False, default="")
@click.option(
    "--at", "moment", default="", metavar="TIME", help="The release in force at this time (UTC)."
)
@click.option("--verify", is_flag=True, help="Also compare the log with the deployment repository.")
@json_option
def command(model_name: str, environment: str, moment: str, verify: bool, as_json: bool) -> None:
    """Show the releases of MODEL_NAME; without it, the current release of every model.

    Example: assay release list income production --at 2026-01-31
    """
    from assay.releases import layout, log

    use_defaults()
    services = services_from_env()
    if not model_name:
        if moment or verify:
            raise UsageError("--at and --verify need a model: assay release list MODEL [ENV]")
        _print_current(services, as_json)
        return
    if environment:
        layout.require_environment(environment)
    services = log.configured(services)
    entries = log.read(services, model_name)
    if not entries:
        _require_known(services, model_name)
    if verify:
        _compare_with_repository(services, model_name, entries)
    entries = _chosen(entries, environment, moment)
    if as_json:
        print_json([{**e.predicate(), "entry": e.name, "refused": e.refused} for e in entries])
        return
    _print(model_name, environment, entries)
    if verify:
        click.echo(f"verified: {len(entries)} entries")


def _print_current(services: "Services", as_json: bool) -> None:
    """Print the current release of every model in every environment of the repository."""
    from assay.releases import layout, log

    services = log.configured(services)
    current = [
        (model, environment, entry)
        for model in log.models(services.store)
        for entries in [log.read(services, model)]
        for environment in layout.ENVIRONMENTS
        if (entry := log.current(entries, environment)) is not None
    ]
    if as_json:
        print_json([entry.predicate() for _, _, entry in current])
    elif not current:
        click.echo("nothing was released; propose a model with: assay release promote MODEL ENV")
    else:
        print_table(
            ["model", "environment", "digest", "since", "by"],
            [(model, where, short(e.digest), e.at, e.by) for model, where, e in current],
        )
        for model, where, entry in current:
            if (revoked := log.revocation(services, entry.digest)) is not None:
                click.echo(
                    f"warning: {entry.digest} is in {where} as {model!r} and was revoked by "
                    f"{revoked.by}: {revoked.why}; roll it back: assay release rollback '{model}' "
                    f"{where} --now --why TEXT",
                    err=True,
                )
        _print_refused_revocations(services)


def _print_refused_revocations(services: "Services") -> None:
    """Revocations that do not count, such as by a key that no longer has the role."""
    from assay.releases import log

    for entry in log.read(services, log.REVOCATIONS):
        if entry.refused and entry.event is log.Event.REVOCATION:
            click.echo(
                f"warning: the revocation of {entry.digest} (entry {entry.number}) does not count: "
                f"{entry.refused}; where it is genuine, revoke again: assay release revoke",
                err=True,
            )


def _require_known(services: "Services", model_name: str) -> None:
    """Refuse a name that is neither in the log nor in the registry, instead of an empty log."""
    from assay.governance.registry import Registry
    from assay.releases import log

    known = log.models(services.store)
    with contextlib.suppress(ServiceError):
        # The log is readable while the registry is down.
        known = sorted({*known, *Registry().names()})
    if model_name not in known:
        raise UsageError(f"no model {model_name!r} in the release log; {like(model_name, known)}")


def _chosen(entries: list["Entry"], environment: str, moment: str) -> list["Entry"]:
    """Print the entries of an environment, or the one in force at a time."""
    from assay.releases import log, statement

    if moment:
        if not environment:
            raise UsageError("--at needs an environment: assay release list MODEL ENV --at TIME")
        result = log.current(
            entries, environment, statement.stamp(statement.moment(moment, "--at"))
        )
        return [result] if result else []
    if environment:
        return [entry for entry in entries if entry.environment in {environment, ""}]
    return entries


def _print(model_name: str, environment: str, entries: Sequence["Entry"]) -> None:
    from assay.releases import log

    if not entries:
        click.echo(
            f"{model_name}: nothing was released" + (f" to {environment}" * bool(environment))
        )
        return
    print_table(
        ["number", "at", "event", "environment", "model", "by", "why"],
        [
            (e.number, e.at, e.event.value, e.environment, short(e.digest), e.by, e.why)
            for e in entries
        ],
    )
    for entry in entries:
        if entry.refused:
            click.echo(f"note: entry {entry.number} does not count: {entry.refused}", err=True)
    for intent in log.intents(entries):
        click.echo(
            f"note: entry {intent.number}: a {intent.intends} to commit {intent.commit[:12]} was "
            "begun; if the branch has it, assay release sync records it, else nothing changed",
            err=True,
        )


def _compare_with_repository(
    services: "Services", model_name: str, entries: Sequence["Entry"]
) -> None:
    """Raise an error if log and repository contradict each other."""
    from assay.releases import consistency, layout, log
    from assay.releases.deployment import Deployment

    problems = [
        f"{fault.what}: {fault.text}"
        for fault in log.check(services.store, services.verifier)
        if fault.broken
    ]
    with Deployment.from_env().open() as opened:
        repository, entries = opened.repository, opened.entries(model_name)
        messages = repository.messages(f"{layout.ROOT}/{model_name}")
        problems += log.cut_off(opened.services, model_name, messages)
        problems += [
            f"{intent.environment}: the {intent.intends} of {intent.at} was pushed and not "
            "recorded; record it with: assay release sync"
            for intent in consistency.pushed(repository, list(entries))
        ]
        for environment in layout.ENVIRONMENTS:
            path = layout.path(model_name, environment)
            commits = consistency.held(repository, path, repository.history(path))
            problems += [
                f"{environment}: commit {commit[:12]} is not in the log: it was removed, or was "
                "never approved (assay release sync)"
                for commit in log.missing(entries, environment, commits)
            ]
            if (
                newer := consistency.overtaken(repository, entries, model_name, environment)
            ) is not None:
                problems.append(
                    f"{environment}: entry {newer.late.number} was recorded late: its commit is "
                    f"older than that of entry {newer.entry.number}; repair it with: assay "
                    "release sync"
                )
            problems += [
                f"{environment}: entry {entry.number} names commit {entry.commit[:12]}, which the "
                "branch no longer has: its history was rewritten"
                for entry in entries
                if entry.moves
                and entry.environment == environment
                and entry.commit
                and entry.commit not in commits
            ]
    if problems:
        raise IntegrityError.all_of(problems)
