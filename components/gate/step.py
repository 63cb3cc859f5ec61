"""gate: the work."""

from assay.step import Decision, Evidence, Out, Policy, Values, step


@step
def gate(
    *,
    model: str,
    policy: Policy,
    evidence: list[Evidence],
    production: str = "",
    test_data: str = "",
    decision: Out[Decision],
) -> Values:
    """Judge evidence about a model by a policy; fails closed.

    Raises:
        UsageError: The model is not given by its digest.
        PolicyError: The policy does not parse.
    """
    from assay.digest import canonical_json, of_bytes, require_digest
    from assay.evidence import EvidenceDocument
    from assay.policy import Decision as Judgement
    from assay.policy import judge, parse_policy, statement
    from assay.report import Section, markdown_table, page, table

    require_digest(model, "model")
    text = (policy.path / "policy.yaml").read_bytes()
    rules = parse_policy(text, "policy.yaml")
    # By digest and not by argument order, so that the decision's bytes are fixed.
    artifacts = sorted(evidence, key=lambda artifact: artifact.digest)
    documents = [EvidenceDocument.read(artifact.path) for artifact in artifacts]
    verdict, rows = judge(rules, documents, model)
    judgement = Judgement(
        model=model,
        verdict=verdict,
        rows=tuple(rows),
        policy=of_bytes(text),
        policy_artifact=policy.digest,
        evidence=tuple(artifact.digest for artifact in artifacts),
        production=production,
        test_data=test_data,
        on_fail=rules.on_fail,
    )
    (decision.path / "decision.json").write_bytes(canonical_json(statement(judgement)))
    decision.annotations["verdict"] = verdict.value
    headers = ["rule", "outcome", "what was seen"]
    cells = [(row.text, row.outcome, row.explanation) for row in rows]
    facts = [
        ("model", model),
        ("production model", production or "none"),
        ("test data", test_data or "–"),
        ("policy", policy.digest),
        *(("evidence", artifact.digest) for artifact in artifacts),
    ]
    (decision.path / "summary.md").write_text(
        f"# Decision: {verdict.value}\n\n"
        + markdown_table(headers, cells)
        + "\n"
        + markdown_table(["about", "digest"], facts)
    )
    sections = [
        Section("Rules", table(headers, cells)),
        Section("About", table(["what", "digest"], facts)),
    ]
    (decision.path / "report.html").write_text(
        page("Decision", sections, verdict=verdict.value, subtitle=judgement.reason)
    )
    return {"verdict": verdict.value, "reason": judgement.reason, "on_fail": rules.on_fail}
