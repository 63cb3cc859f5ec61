"""resolve_production: the work."""

from assay.step import Out, Record, Values, step


@step(side_effects=True)
def resolve_production(*, model_name: str, record: Out[Record]) -> Values:
    """Ask the registry which model is in production, and what it was trained on.

    Raises:
        ServiceError: The registry does not answer; no answer is not "none".
        UsageError: The production version was not registered by Assay.
    """
    from assay.digest import canonical_json
    from assay.registry import Registry

    version = Registry().production(model_name)
    found = {
        "production": version.model if version else "",
        "production_data": version.tags.get("assay.data", "") if version else "",
        "version": version.version if version else "",
    }
    document = {"model_name": model_name, **found}
    (record.path / "record.json").write_bytes(canonical_json(document))
    text = (
        f"Version {version.version} of `{model_name}` is in production: `{version.model}`\n"
        if version
        else f"No version of `{model_name}` is in production.\n"
    )
    (record.path / "summary.md").write_text(text)
    return found
