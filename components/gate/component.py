"""The KFP declaration of gate."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("release"), install_kfp_package=False)
def gate(
    model: str,
    policy: str,
    evidence: list,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    production: str = "",
    test_data: str = "",
    data: str = "",
) -> NamedTuple(
    "Outputs", [("decision", str), ("verdict", str), ("reason", str), ("on_fail", str)]
):
    """Judge evidence about a model by a policy. Missing evidence fails its rule.

    Args:
        model: Digest of the model.
        policy: Digest of the policy.
        evidence: Digests of validation, evaluation, measurements and comparison, at least one.
        report: The rules and what was seen, to look at.
        summary: The same in short.
        production: Digest of the production model it was compared with. Empty: none.
        test_data: Digest of the rows it was tested on. Empty: not checked.
        data: Digest of the dataset its rows were taken from; a validation must be about it.

    Returns:
        decision: Digest of the decision, an in-toto test result about the model.
        verdict: pass, block or inconclusive.
        reason: One line naming what kept it from passing, with the values seen.
        on_fail: What the policy asks for then: block or block_and_notify.
    """
    from assay.components.gate import step
    from assay.kfp import execute

    return execute(step.gate, locals(), "decision", "verdict", "reason", "on_fail")
