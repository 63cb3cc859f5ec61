"""Golden predictions: a model's predictions of a few rows when it was released.

A restored model must give exactly the same. The rows, the first of the test data that was judged,
are stored with the predictions, so that a drill needs no other data; predictions are JSON numbers,
which keep all 64 bits. One thread, because the number of threads changes the last bits.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

from assay.core.attestation import about
from assay.core.digest import canonical_json, parse_canonical_json
from assay.core.manifest import require_type
from assay.core.provenance import best
from assay.core.step import Services
from assay.core.store import Store
from assay.core.tree import get_manifest, get_tree, put_tree, read_file, remove_tree
from assay.errors import IntegrityError

TYPE: Final = "application/vnd.assay.golden.v1"
ANSWERS: Final = "predictions.json"
ROWS_FOLDER: Final = "rows"
ROWS: Final = 100
MAX_ANSWER_BYTES: Final = 8 << 20


def create(services: Services, model: str, test_data: str) -> str:
    """Predict the first rows and store rows and predictions.

    Args:
        services: The store.
        model: Digest of the model.
        test_data: Digest of the rows that it was judged on.

    Returns:
        The digest of the artifact.

    Raises:
        IntegrityError: Model or data does not match its digest.
    """
    from assay import data as dataset

    with tempfile.TemporaryDirectory(prefix="assay-golden-") as scratch:
        out = Path(scratch, "out")
        (out / ROWS_FOLDER).mkdir(parents=True)
        table = Path(scratch, "table")
        get_tree(services.store, get_manifest(services.store, test_data), table)
        try:
            first = next(dataset.iter_batches(table)).slice(0, ROWS)
            dataset.write([first], dataset.arrow_schema(table), out / ROWS_FOLDER)
        finally:
            remove_tree(table)
        predictions = _predict(services, model, out / ROWS_FOLDER)
        (out / ANSWERS).write_bytes(
            canonical_json({"model": model, "data": test_data, **predictions})
        )
        return put_tree(services.store, out, TYPE, {}).digest


def check(services: Services, model: str, golden: str) -> int:
    """Predict again and compare.

    Args:
        services: The store.
        model: Digest of the model.
        golden: Digest of its golden predictions.

    Returns:
        The number of rows.

    Raises:
        IntegrityError: A prediction differs, or the golden predictions are of another model.
    """
    manifest = get_manifest(services.store, golden)
    require_type(manifest, TYPE, "golden predictions")
    with tempfile.TemporaryDirectory(prefix="assay-golden-") as scratch:
        held = Path(scratch, "held")
        get_tree(services.store, manifest, held)
        try:
            content = (held / ANSWERS).read_bytes()
            raw = parse_canonical_json(content, ANSWERS)
            if not isinstance(raw, dict) or raw.get("model") != model:
                raise IntegrityError(f"{golden}: not golden predictions of {model}")
            again = _predict(services, model, held / ROWS_FOLDER)
        finally:
            remove_tree(held)
    if canonical_json({**raw, **again}) != content:
        before = raw["labels"]
        differ = sum(a != b for a, b in zip(again["labels"], before, strict=False))
        raise IntegrityError(
            f"the model {model} does not reproduce its golden predictions ({differ} of "
            f"{len(before)} labels differ, or their probabilities do); do not serve it here: "
            "compare the versions in its requirements.txt with those installed"
        )
    return len(again["labels"])


def require_about(store: Store, golden: str, model: str, test_data: str) -> None:
    """Check that an artifact has the golden predictions of a model on the rows it was judged on.

    Args:
        store: The store with it.
        golden: Digest of the artifact.
        model: Digest of the model.
        test_data: Digest of the rows.

    Raises:
        IntegrityError: It is about something else, or `golden` is empty.
        NotFoundError: It is not in the store.
    """
    if not golden:
        raise IntegrityError(
            "golden is empty although the decision names test data; promote the model again"
        )
    manifest = get_manifest(store, golden)
    require_type(manifest, TYPE, "golden predictions")
    content = read_file(store, manifest, ANSWERS, MAX_ANSWER_BYTES)
    raw = parse_canonical_json(content, ANSWERS) if content is not None else None
    if not isinstance(raw, dict) or (raw.get("model"), raw.get("data")) != (model, test_data):
        raise IntegrityError(f"{golden}: not golden predictions of {model} on {test_data}")


def _predict(services: Services, model: str, rows: Path) -> dict[str, Any]:
    from assay import data as dataset
    from assay.models import fixed_threads, load

    trained = best(about(services.store, model, services.verifier))
    allowed = trained.parameters.get("allowed_modules", []) if trained else []
    with tempfile.TemporaryDirectory(prefix="assay-golden-") as scratch:
        folder = Path(scratch, "model")
        get_tree(services.store, get_manifest(services.store, model), folder)
        try:
            loaded = load(folder, allowed_modules=allowed)
        finally:
            remove_tree(folder)
    frame = dataset.read(rows)
    with fixed_threads(1):
        labels = [_plain(value) for value in loaded.predict(frame)]
        scores = loaded.predict_proba(frame)
    return {
        "labels": labels,
        "probabilities": None if scores is None else [[float(x) for x in row] for row in scores],
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
