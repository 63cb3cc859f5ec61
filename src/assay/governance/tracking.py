"""Logging an execution into the MLflow run that the platform provides (`MLFLOW_RUN_ID`)."""

import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from assay.core.environment import silence_mlflow
from assay.core.execution import Execution
from assay.core.settings import MLFLOW_RUN_ID

logger = logging.getLogger(__name__)

_MAX_PARAM_CHARS: Final = 6000
"""MLflow's limit for a parameter's value."""


def log_execution(
    execution: Execution, parameters: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Log parameters, metrics and digests.

    The attestation is the proof; the MLflow run is for display. A tracking server that is down is
    therefore a warning and does not fail the run.

    Args:
        execution: The execution.
        parameters: Parameters of the step.
        metrics: Its numeric values by name.
    """
    silence_mlflow()
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    now = int(time.time() * 1000)
    tags = {"assay.step": execution.step, "assay.attestation": execution.attestation}
    tags.update({f"assay.{name}": digest for name, digest in execution.outputs.items() if digest})
    try:
        MlflowClient().log_batch(
            MLFLOW_RUN_ID.get(),
            metrics=[Metric(_name(k), float(v), now, 0) for k, v in metrics.items()],
            params=[Param(f"{execution.step}.{k}", _text(v)) for k, v in parameters.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        logger.warning("not logged to MLflow run %s: %s", MLFLOW_RUN_ID.get(), reason)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text[:_MAX_PARAM_CHARS]


def _name(name: str) -> str:
    # MLflow admits letters, digits and a few signs in a metric's name.
    return re.sub(r"[^\w.\-/ ]", "_", name)
