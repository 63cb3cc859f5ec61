"""doctor: the work."""

from assay.core.step import Out, Record, Values, step


@step(side_effects=True)
def doctor(
    *,
    kfp_endpoint: str = "",
    namespace: str = "",
    images: list[str] = [],  # noqa: B006 - read only
    record: Out[Record],
) -> Values:
    """Check store, clock, MLflow, signing key, KFP, Secrets and images, from inside a pod of a run.

    Args:
        kfp_endpoint: URL of KFP's API. Empty: not checked.
        namespace: The namespace of the Secrets. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.
        record: The findings.

    Returns:
        verdict (str): block if a run would fail, else pass.
        reason (str): Every check that failed, with its remedy; empty on a pass.

    Raises:
        UsageError: `kfp_endpoint` is not the URL of an API.
        StoreError: The store cannot be written, so the findings cannot be stored.
    """
    from assay.cluster.doctor import examine
    from assay.cluster.doctor.checks import failed
    from assay.cluster.doctor.ground import ground
    from assay.core.digest import canonical_json
    from assay.reports.markdown import markdown_table
    from assay.reports.page import Section, page, table

    findings = examine(ground(kfp_endpoint, namespace, images))
    bad = failed(findings)
    # With the remedies, because KFP shows no report of a task that failed.
    reason = "; ".join(
        f"{item.check}: " + "; ".join(filter(None, (item.detail, item.remedy))) for item in bad
    )
    verdict = "block" if bad else "pass"
    headers = ("check", "status", "found", "remedy")
    rows = [(item.check, item.status.value, item.detail, item.remedy) for item in findings]
    document = {"findings": [dict(zip(headers, row, strict=True)) for row in rows]}
    (record.path / "record.json").write_bytes(canonical_json(document))
    (record.path / "summary.md").write_text(
        f"# Ground: {verdict}\n\n{markdown_table(headers, rows)}", encoding="utf-8"
    )
    html = page("Ground", [Section("Checks", table(headers, rows))], verdict=verdict)
    (record.path / "report.html").write_text(html, encoding="utf-8")
    return {"verdict": verdict, "reason": reason}
