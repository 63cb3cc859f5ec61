"""Evidence: the input of a gate, a flat map from names to numbers.

Names follow Prometheus: `accuracy`, `accuracy{sex="Female"}`. A document lists the artifacts that
its numbers describe, so that numbers of another model can be refused. The file is `evidence.json`
in canonical JSON. A value that is NaN or infinite is written as null, with the reason in `notes`,
and fails every rule that uses it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay.core.digest import canonical_json, parse_canonical_json
from assay.errors import IntegrityError

FILE_NAME: Final = "evidence.json"
MAX_EVIDENCE_BYTES: Final = 16 << 20
POSITIVE: Final = "positive_class"
"""Key of the note that names the positive class of a binary model."""
POSITIVE_DEFAULT: Final = "positive_class_default"
"""Key of the note for a default positive class: the last class in sort order."""
VERDICTS: Final = ("pass", "block", "inconclusive")


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; `confidence` is in (0, 1), such as 0.95."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True)
class EvidenceDocument:
    """Numbers, and the artifacts that they describe.

    `subjects` maps roles (`model`, `production`, `data`, `checks`) to artifact digests. `verdict`
    is set by steps that reach a verdict of their own (validation, comparison). A gate never ignores
    a verdict other than `pass`.
    """

    subjects: Mapping[str, str]
    values: Mapping[str, float | None]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    """By evidence name: why a value is null, or a remark about it."""
    verdict: str | None = None
    reason: str = ""
    """One line, when the verdict is not `pass`."""

    def to_bytes(self) -> bytes:
        """Encode as canonical JSON. NaN and infinities become null, because JSON has neither."""
        return canonical_json(
            {
                "subjects": dict(self.subjects),
                "evidence": {name: _finite(value) for name, value in self.values.items()},
                "intervals": {
                    name: {
                        "low": _finite(interval.low),
                        "high": _finite(interval.high),
                        "confidence": interval.confidence,
                    }
                    for name, interval in self.intervals.items()
                },
                "notes": dict(self.notes),
                "verdict": self.verdict,
                "reason": self.reason,
            }
        )

    def write(self, folder: Path) -> None:
        """Write `evidence.json` into an output folder."""
        (folder / FILE_NAME).write_bytes(self.to_bytes())

    @classmethod
    def read(cls, folder: Path) -> "EvidenceDocument":
        """Read `evidence.json` from the folder of an artifact.

        Raises:
            IntegrityError: Too large, not canonical JSON, or a field of the wrong type.
        """
        path = folder / FILE_NAME
        if path.stat().st_size > MAX_EVIDENCE_BYTES:
            raise IntegrityError(f"{path.name}: larger than {MAX_EVIDENCE_BYTES} bytes")
        return cls.parse(path.read_bytes())

    @classmethod
    def parse(cls, data: bytes) -> "EvidenceDocument":
        """Read a document.

        Raises:
            IntegrityError: Not canonical JSON, or a field of the wrong type.
        """
        return cls.from_dict(parse_canonical_json(data, FILE_NAME))

    @classmethod
    def from_dict(cls, raw: Any) -> "EvidenceDocument":
        """Convert a JSON value.

        Raises:
            IntegrityError: A field is missing or of the wrong type.
        """
        try:
            document = cls(
                subjects={str(k): str(v) for k, v in raw["subjects"].items()},
                values={str(k): _number(v) for k, v in raw["evidence"].items()},
                intervals={
                    str(name): Interval(
                        _bound(value["low"]), _bound(value["high"]), float(value["confidence"])
                    )
                    for name, value in raw["intervals"].items()
                },
                notes={str(k): str(v) for k, v in raw["notes"].items()},
                verdict=raw["verdict"],
                reason=str(raw["reason"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise IntegrityError(f"{FILE_NAME}: malformed: {error!r}") from error
        if document.verdict is not None and document.verdict not in VERDICTS:
            raise IntegrityError(
                f"{FILE_NAME}: verdict {document.verdict!r} is not one of {VERDICTS}"
            )
        return document


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _bound(value: Any) -> float:
    # A bound that is not finite was written as null; NaN fails every comparison with it.
    number = _number(value)
    return math.nan if number is None else number
