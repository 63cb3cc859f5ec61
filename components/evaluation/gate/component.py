"""The KFP declaration of gate."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("release")
def gate(
    model: str,
    decision: dsl.Output[dsl.HTML],
    policy: str = "",
    evidence: list = [],  # noqa: B006 - KFP reads the default, nobody changes it
    validation: str = "",
    evaluation: list = [],  # noqa: B006
    comparison: str = "",
    outside: list = [],  # noqa: B006
    production: str = "",
    test_data: str = "",
    data: str = "",
    settings: dict = {},  # noqa: B006
) -> NamedTuple("Outputs", [("decision_digest", str)]):
    """Judge evidence about a model by a policy. Missing evidence fails its rule.

    A model that does not pass fails the task, with exit code 4, or 5 where the data cannot tell,
    after the decision is stored.

    Args:
        model: Digest of the model.
        decision: The rules and what was seen, to look at.
        policy: Digest of the policy.
        evidence: Digests of evidence; with what the next four give, at least one.
        validation: Digest, as validate_data gives it.
        evaluation: Digests, as evaluate gives them in `evidence`.
        comparison: Digest, as compare gives it.
        outside: Digests, as resolve_production gives them in `evidence`.
        production: Digest of the production model it was compared with. Empty: none.
        test_data: Digest of the rows it was tested on. Empty: register refuses the decision.
        data: Digest of the dataset its rows were taken from; a validation must be about it.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text,
            only changes KFP's cache key.

    Returns:
        decision_digest: Digest of the decision, an in-toto test result about the model.
    """
    from assay.components.gate import step
    from assay.runtime.kfp import BLOCKS, execute

    single = [one for one in (validation, comparison) if one]
    arguments = {**locals(), "evidence": [*evidence, *single, *evaluation, *outside]}
    return execute(step.gate, arguments, "decision_digest", judge=BLOCKS)
