"""The KFP declaration of gate."""

from typing import NamedTuple

from kfp import dsl

from assay.declaration import component


@component("release")
def gate(
    model: str,
    evidence: list,
    decision: dsl.Output[dsl.HTML],
    policy: str = "",
    production: str = "",
    test_data: str = "",
    data: str = "",
    settings: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
) -> NamedTuple("Outputs", [("decision_digest", str)]):
    """Judge evidence about a model by a policy. Missing evidence fails its rule.

    A model that does not pass fails the task, with exit code 4, or 5 where the data cannot tell,
    after the decision is stored.

    Args:
        model: Digest of the model.
        policy: Digest of the policy.
        evidence: Digests of validation, evaluation, measurements and comparison, at least one.
        decision: The rules and what was seen, to look at.
        production: Digest of the production model it was compared with. Empty: none.
        test_data: Digest of the rows it was tested on. Empty: not checked.
        data: Digest of the dataset its rows were taken from; a validation must be about it.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text,
            only changes KFP's cache key.

    Returns:
        decision_digest: Digest of the decision, an in-toto test result about the model.
    """
    from assay.components.gate import step
    from assay.kfp import BLOCKS, execute

    return execute(step.gate, locals(), "decision_digest", judge=BLOCKS)
