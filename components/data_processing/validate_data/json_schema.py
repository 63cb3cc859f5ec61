"""JSON Schemas, checked in bounded time; a text that is not JSON does not fit."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from assay.errors import UsageError

MAX_CHECKS: Final = 20_000
"""Of one value by a JSON Schema; some 10 microseconds each."""
MAX_ALL_CHECKS: Final = 20_000_000
"""Of a column."""


def schema_check(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """What tells whether a text is JSON that fits; a text nested too deep does not.

    References that refer to references take exponential time, so the checks of one value, and
    those of all values together, are counted.
    """
    import jsonschema
    from referencing.exceptions import Unresolvable

    kind = jsonschema.validators.validator_for(schema)
    steps = _Steps()
    try:
        kind.check_schema(schema)
        known = {name: steps.counted(check) for name, check in kind.VALIDATORS.items()}
        if "uniqueItems" in known:
            known["uniqueItems"] = _unique
        validator = jsonschema.validators.extend(kind, known)(schema)
    except (jsonschema.exceptions.SchemaError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "message", "nested too deep")).split())[:200]
        raise UsageError(f"json_schema: not a JSON Schema: {reason}") from error

    def fits(value: Any) -> bool:
        steps.begin()
        try:
            return bool(validator.is_valid(json.loads(value)))
        except (ValueError, TypeError, RecursionError):
            return False
        except Unresolvable as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"json_schema: a reference leads to nothing: {reason}") from error

    return fits


class _Steps:
    """Counts the checks of a JSON Schema, so that one without an end in sight is refused."""

    def __init__(self) -> None:
        self._value = self._all = 0

    def begin(self) -> None:
        """Begin with the next value."""
        self._value = 0

    def counted(self, check: Callable[..., Any]) -> Callable[..., Any]:
        """A check of jsonschema's that counts."""

        def counting(*arguments: Any) -> Any:
            self._value += 1
            self._all += 1
            if self._value > MAX_CHECKS or self._all > MAX_ALL_CHECKS:
                raise UsageError(
                    f"json_schema: more than {MAX_CHECKS:,} checks of one value, or "
                    f"{MAX_ALL_CHECKS:,} of all; write a schema with fewer references"
                )
            return check(*arguments)

        return counting


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
    """`uniqueItems` in linear time; jsonschema compares each item with each other."""
    import jsonschema

    del schema
    listed = wanted and validator.is_type(instance, "array")
    if listed and len({_same(item) for item in instance}) < len(instance):
        yield jsonschema.ValidationError("has items that are not unique")


def _same(value: Any) -> Any:
    """A key that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, list):
        return ("list", tuple(map(_same, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, _same(item)) for name, item in value.items()))
    return value
