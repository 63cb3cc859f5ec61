# Generated from step.py, task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of gate."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("release")
def gate(
    model: str,
    decision: dsl.Output[dsl.HTML],
    policy: str = "",
    evidence: list = [],
    production: str = "",
    test_data: str = "",
    data: str = "",
    validation: str = "",
    evaluation: list = [],
    comparison: str = "",
    outside: list = [],
    settings: dict = {},
) -> NamedTuple("Outputs", [("decision_digest", str)]):
    """Judge evidence about a model by a policy. Missing evidence fails its rule.

    A verdict other than pass fails the task, with exit code 4, or 5 if it is inconclusive, after
    the result is stored.

    Args:
        model: Digest of the model.
        decision: The rules and the evidence that each was judged on.
        policy: Digest of the policy.
        evidence: Digests of evidence, such as validations, evaluations and comparisons; at least
            one document.
        production: Digest of the production model it was compared with. Empty: none.
        test_data: Digest of the rows it was tested on. Empty: register refuses the decision.
        data: Digest of the dataset its rows were taken from; a validation must be about it.
        validation: Digest, as validate_data gives it.
        evaluation: Digests, as evaluate gives them in `evidence`.
        comparison: Digest, as compare gives it.
        outside: Digests, as resolve_production gives them in `evidence`.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        decision_digest: Digest of the decision, an in-toto test result about the model.
    """
    from assay.components.gate import step, task
    from assay.runtime.kfp import BLOCKS, execute

    return execute(step.gate, locals(), "decision_digest", judge=BLOCKS, by=task.gate)
