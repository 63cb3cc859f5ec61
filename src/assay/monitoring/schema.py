"""The format of monitoring plans as a JSON Schema, for editors and other programs."""

import math
from typing import Any

from assay.monitoring.plan import (
    ALL,
    FORMAT,
    MAX_DELAY,
    MAX_DETECTORS,
    MAX_SIGNIFICANCE,
    MAX_WINDOW,
    METRICS,
    MIN_WINDOW,
)


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a plan.

    It describes what `parse_plan` accepts, except for checks that a schema cannot express: repeated
    keys and names, a minimum above the maximum, and passwords in receivers.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FORMAT,
        "type": "object",
        "required": ["format", "detectors"],
        "additionalProperties": False,
        "properties": {
            "format": {"const": FORMAT},
            "significance": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": MAX_SIGNIFICANCE,
            },
            "rows_per_day": {"type": "number", "exclusiveMinimum": 0},
            "detectors": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_DETECTORS,
                "items": _detector(),
            },
        },
    }


def _detector() -> dict[str, Any]:
    number = {"type": "number"}
    return {
        "type": "object",
        "required": ["name", "metric"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "\\S"},
            "metric": {"enum": list(METRICS)},
            "columns": {
                "oneOf": [
                    {"const": ALL},
                    {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": True,
                        "items": {"type": "string"},
                    },
                ]
            },
            "threshold": {"type": "number", "minimum": 0},
            "window": {"type": "integer", "minimum": MIN_WINDOW, "maximum": MAX_WINDOW},
            "receiver": {"type": "string"},
            "delay": {"type": "integer", "minimum": 0, "maximum": MAX_DELAY},
            "minimum": number,
            "maximum": number,
            "reason": {"type": "string"},
        },
        "allOf": [_of_metric(name) for name in METRICS],
    }


def _of_metric(name: str) -> dict[str, Any]:
    """The fields that a metric does not allow, and its largest threshold."""
    metric = METRICS[name]
    takes: dict[str, Any] = {}
    if not metric.of_column:
        takes["columns"] = False
    if not metric.of_labels:
        takes["delay"] = False
    if name != "out_of_range_share":
        takes |= {"minimum": False, "maximum": False}
    if math.isfinite(metric.upper):
        takes["threshold"] = {"maximum": metric.upper}
    return {
        "if": {"properties": {"metric": {"const": name}}},
        "then": {"properties": takes},
    }
