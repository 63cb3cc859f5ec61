"""`release.yaml`: one model digest in one environment.

Specified in docs/format-release.md. A release has one encoding, so that its digest is its name, by
which the next release names it. It contains no time; the release log does.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice
from typing import Any, Final

import yaml

from assay.core.digest import of_bytes
from assay.documents import MAX_NAMED, Limits, read_yaml, shown, some
from assay.errors import UsageError
from assay.releases.layout import FILE_NAME

SCHEMA_VERSION: Final = 1
MEDIA_TYPE: Final = "application/yaml"
MAX_RELEASE_BYTES: Final = 64 << 10
_LIMITS: Final = Limits(MAX_RELEASE_BYTES, depth=8, values=10_000)


@dataclass(frozen=True, slots=True)
class Override:
    """An override, as a release names it."""

    statement: str
    """Digest of the signed statement."""
    by: str
    why: str
    until: str
    """RFC 3339, UTC."""


@dataclass(frozen=True, slots=True)
class Release:
    """The content of `release.yaml`; the fields are those of the schema."""

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
        """Digest of the file."""
        return of_bytes(self.render())

    def render(self) -> bytes:
        """The file's only encoding."""
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


def parse_release(data: bytes, what: str = FILE_NAME) -> Release:
    """Parse a release from an untrusted source.

    Raises:
        UsageError: It is not YAML, violates the schema (reports all faults), or is encoded
            differently.
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
            f"{what}: not in the encoding that assay writes, so its digest would differ; promote "
            "the "
            "model again instead of editing the file"
        )
    return release


@functools.cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    text = (
        resources.files("assay.releases")
        .joinpath("release.schema.json")
        .read_text(encoding="utf-8")
    )
    return Draft202012Validator(json.loads(text))


def _fault(fault: Any) -> str:
    """The fault, without the value, which may be as long as the file."""
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
