"""`release.yaml`: one model digest in one environment.

Specified in docs/format-release.md. A release has one spelling, so that its digest is its name: it
says what it replaced by that name. No time stands in it; times stand in the release log.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import yaml

from assay.core.digest import hex_of, of_bytes
from assay.documents import MAX_NAMED, Limits, read_yaml, shown, some
from assay.errors import UsageError

SCHEMA_VERSION: Final = 1
ENVIRONMENTS: Final = ("dev", "staging", "production")
"""In the order in which a model goes through them; none is skipped."""
FILE_NAME: Final = "release.yaml"
PLAN_FILE: Final = "monitoring.yaml"
CHANGELOG_FILE: Final = "changelog.md"
EVALUATION_FILE: Final = "evaluation.md"
METRICS_FIGURE: Final = "metrics.svg"
ROC_FIGURE: Final = "roc.svg"
CONFUSION_FIGURE: Final = "confusion.svg"
SLICES_FIGURE: Final = "slices.svg"
REGRESSION_FIGURE: Final = "regression.svg"
OWN_FILES: Final = frozenset(
    {
        FILE_NAME, PLAN_FILE, CHANGELOG_FILE, EVALUATION_FILE,
        METRICS_FIGURE, ROC_FIGURE, CONFUSION_FIGURE, SLICES_FIGURE, REGRESSION_FIGURE,
    }
)  # fmt: skip
"""What a release is made of. Other files of its folder, such as how a cluster is to use it, are
people's: no promotion and no rollback changes them."""
ROOT: Final = "models"
MEDIA_TYPE: Final = "application/yaml"
MAX_RELEASE_BYTES: Final = 64 << 10
_LIMITS: Final = Limits(MAX_RELEASE_BYTES, depth=8, values=10_000)
BRANCHES: Final = "assay"
"""Proposals lie on branches below it."""
BRANCH_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Override:
    """A person's decision against the policy, as a release shows it."""

    statement: str
    """Digest of the signed statement."""
    by: str
    why: str
    until: str
    """RFC 3339, UTC."""


@dataclass(frozen=True, slots=True)
class Release:
    """What `release.yaml` says; the fields are those of the schema."""

    model: str
    environment: str
    digest: str
    uri: str
    registry_version: str
    evaluation_run: str
    decision: str
    reports: Mapping[str, str]
    policy: str
    data: str = ""
    previous: str = ""
    golden: str = ""
    monitoring: str = ""
    override: Override | None = field(default=None)

    @property
    def name(self) -> str:
        """Digest of the document."""
        return of_bytes(self.render())

    def render(self) -> bytes:
        """The document's one spelling."""
        raw: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION,
            "model": self.model,
            "environment": self.environment,
            "digest": self.digest,
            "uri": self.uri,
            "registryVersion": self.registry_version,
            "evaluationRun": self.evaluation_run,
            "decision": self.decision,
            "reports": dict(sorted(self.reports.items())),
            "policy": self.policy,
            "data": self.data,
            "previous": self.previous,
            "golden": self.golden,
            "monitoring": self.monitoring,
        }
        if self.override is not None:
            raw["override"] = {
                "statement": self.override.statement,
                "by": self.override.by,
                "why": self.override.why,
                "until": self.override.until,
            }
        text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=10_000)
        return text.encode()


def parse(data: bytes, what: str = FILE_NAME) -> Release:
    """Read a release that may be anybody's.

    Raises:
        UsageError: Not YAML, not what the schema says (all offenders), or in another spelling.
    """
    raw = read_yaml(data, what, _LIMITS, person=False).value
    if faults := list(islice(_validator().iter_errors(raw), MAX_NAMED)):
        faults.sort(key=lambda fault: list(map(str, fault.path)))
        raise UsageError.all_of(dict.fromkeys(f"{what}: {_fault(fault)}" for fault in faults))
    given = raw.get("override")
    release = Release(
        model=raw["model"],
        environment=raw["environment"],
        digest=raw["digest"],
        uri=raw["uri"],
        registry_version=raw["registryVersion"],
        evaluation_run=raw["evaluationRun"],
        decision=raw["decision"],
        reports=raw["reports"],
        policy=raw["policy"],
        data=raw["data"],
        previous=raw["previous"],
        golden=raw["golden"],
        monitoring=raw["monitoring"],
        override=Override(**given) if given else None,
    )
    if release.render() != data:
        raise UsageError(
            f"{what}: not in the form that assay writes, so that its digest would be another; "
            "promote the model again instead of editing the file"
        )
    return release


def require_environment(text: str) -> str:
    """`text` when it names an environment.

    Raises:
        UsageError: It does not; lists those that there are.
    """
    if text not in ENVIRONMENTS:
        raise UsageError(f"no environment {text!r}; there are: {', '.join(ENVIRONMENTS)}")
    return text


def below(environment: str) -> str | None:
    """The environment that a model must have been in before; None for the first."""
    place = ENVIRONMENTS.index(require_environment(environment))
    return ENVIRONMENTS[place - 1] if place else None


def folder(model: str, environment: str) -> str:
    """The release's folder in the deployment repository."""
    return f"{ROOT}/{model}/{environment}"


def path(model: str, environment: str) -> str:
    """The path of `release.yaml` in the deployment repository."""
    return f"{folder(model, environment)}/{FILE_NAME}"


def branch(model: str, environment: str, digest: str) -> str:
    """The branch that proposes a model: the same model, the same branch."""
    # Percent-encoded, because a branch may hold no space, and no dots where Git has a meaning.
    name = quote(model, safe="")
    if ".." in name or name.endswith((".", ".lock")):
        name = name.replace(".", "%2E")
    return f"{BRANCHES}/{name}/{environment}/{hex_of(digest)[:BRANCH_DIGITS]}"


@functools.cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    text = resources.files("assay.releases").joinpath("release.schema.json").read_text()
    return Draft202012Validator(json.loads(text))


def _fault(fault: Any) -> str:
    """What is wrong, without the value, which may be as long as the file."""
    place = ".".join(map(str, fault.path)) or "the document"
    wanted = fault.validator_value
    if fault.validator == "required":
        missing = [name for name in wanted if name not in fault.instance]
        return f"{place}: {', '.join(missing)} missing"
    if fault.validator == "additionalProperties":
        unknown = sorted(set(fault.instance) - set(fault.schema.get("properties", ())))
        return f"{place}: unknown keys: {', '.join(some(unknown, shown))}"
    if fault.validator == "enum":
        return f"{place}: {shown(fault.instance)} is not one of {', '.join(map(str, wanted))}"
    return f"{place}: {shown(fault.instance)} does not have the {fault.validator} {wanted!r:.80}"
