"""Write what documentation says about code: tables of inputs, outputs, parameters and options.

`python docs/generate.py` rewrites the parts between the markers of each component's
README.md, of components.md, ui.md, profiles.md, policy.md, settings.md, exit-codes.md,
performance.md and scale.md in docs/, and the list of evidence names that the policy's parser reads.
With `--check` it fails instead when one is stale. The tables come from the code itself, and those
of performance.md and scale.md from performance.json.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import performance

from assay.cli.catalog import choices_of, component, pipeline
from assay.cluster.profile import default_profile, schema
from assay.cluster.stages import library_stages
from assay.cluster.stages import schema as stage_schema
from assay.components.prepare_data.options import OPTIONS
from assay.core.settings import SECTIONS, Setting
from assay.errors import EXIT_CODES, INTERRUPTED, VERDICTS
from assay.runtime.mounted import CONFIG, VARIABLES

ROOT = Path(__file__).resolve().parent.parent
CATEGORIES = stage_schema()["properties"]["category"]["enum"]
EVIDENCE = ROOT / "src/assay/governance/policy/stages.json"


def table(function: Any) -> str:
    """The inputs and outputs of a component as two Markdown tables."""
    spec = function.component_spec
    inputs = [
        (name, _type(item), _default(item), item.description or "")
        for name, item in (spec.inputs or {}).items()
    ]
    outputs = [
        (name, _type(item), item.description or "") for name, item in (spec.outputs or {}).items()
    ]
    parts = []
    if inputs:
        parts.append(_markdown(("input", "type", "default", "meaning"), inputs))
    if outputs:
        parts.append(_markdown(("output", "type", "meaning"), outputs))
    return "\n\n".join(parts)


def _type(item: Any) -> str:
    return str(item.type).removeprefix("system.").split("@")[0]


def _default(item: Any) -> str:
    if not item.optional:
        return "required"
    return f"`{item.default!r}`"


def _markdown(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return (
            "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
        )

    return "\n".join([line(headers), line(("---",) * len(headers)), *map(line, rows)])


def render(path: Path, function: Any) -> str:
    """The README at `path` with its table made anew."""
    return replace(path, path.read_text(encoding="utf-8"), "io", table(function))


def replace(path: Path, text: str, name: str, content: str) -> str:
    """`text` with `content` between the markers called `name`."""
    begin, end = f"<!-- generated:{name} -->", f"<!-- /generated:{name} -->"
    if begin not in text or end not in text:
        sys.exit(f"{path}: no {begin} … {end} markers; put them where the table belongs")
    head, rest = text.split(begin, 1)
    _, tail = rest.split(end, 1)
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def render_ui(path: Path) -> str:
    """docs/ui.md with the run form's parameters and options, in the order of the form."""
    function = pipeline("train_and_register")
    choices = choices_of(function)
    rows = [
        (f"`{name}`", "drop-down" if name in choices else _FIELDS[_type(item)], item.description)
        for name, item in sorted(function.component_spec.inputs.items())
    ]
    text = replace(
        path,
        path.read_text(encoding="utf-8"),
        "parameters",
        _markdown(("field", "is", "meaning"), rows),
    )
    options = [
        (f"`{name}`", f"`{json.dumps(one.default)}`", one.meaning)
        for name, one in sorted(OPTIONS.items())
    ]
    return replace(path, text, "options", _markdown(("option", "default", "meaning"), options))


_FIELDS = {"String": "a line", "Dict": "a JSON editor", "List": "a JSON editor"}


def render_profiles(path: Path) -> str:
    """docs/profiles.md with the options of the schema, the defaults and the needs."""
    top = [
        (f"`{name}`", _described(item))
        for name, item in schema()["properties"].items()
        if "properties" not in item
    ]
    for group in ("secrets", "security"):
        items = schema()["properties"][group]["properties"].items()
        top += [(f"`{group}.{name}`", _described(item)) for name, item in items]
    task = schema()["$defs"]["component"]["properties"]
    own = [(f"`{name}`", _described(item)) for name, item in task.items()]
    text = replace(
        path, path.read_text(encoding="utf-8"), "options", _markdown(("option", "meaning"), top)
    )
    text = replace(path, text, "task", _markdown(("option", "meaning"), own))
    variables = [
        (kind, f"`{key}`", f"`{variable}`")
        for kind, keys in VARIABLES.items()
        for key, variable in keys.items()
    ]
    variables += [("ConfigMap", f"`{name}`", f"`{name}`") for name in CONFIG]
    text = replace(path, text, "keys", _markdown(("of", "key", "variable"), variables))
    return replace(path, text, "components", _components())


def _described(item: Any) -> str:
    while "description" not in item:
        item = schema()["$defs"]["task"]["properties"][item["$ref"].rpartition("/")[2]]
    choices = f" One of {', '.join(f'`{choice}`' for choice in item.get('enum', ()))}."
    return str(item["description"]) + (choices if "enum" in item else "")


def _components() -> str:
    rows = []
    for name, stage in library_stages().items():
        options = default_profile().task(name)
        retry = f"{options.retry.count}" if options.retry else f"never: {stage.never_retried}"
        rows.append(
            (
                name,
                ", ".join(options.needs) or "nothing",
                f"{options.cpu_request} / {options.cpu_limit}",
                f"{options.memory_request} / {options.memory_limit}",
                f"{options.timeout_seconds} s",
                retry,
            )
        )
    headers = ("component", "gets", "CPU", "memory", "time-out", "retries")
    return _markdown(headers, rows)


def render_components(path: Path) -> str:
    """docs/components.md with a line for each component."""
    rows = [
        (
            f"[{name}](../{stage.folder.relative_to(ROOT)})",
            stage.category.replace("_", " "),
            re.split(r"(?<=\.)\s", component(name).component_spec.description)[0],
        )
        for name, stage in sorted(
            library_stages().items(), key=lambda item: CATEGORIES.index(item[1].category)
        )
    ]
    table = _markdown(("component", "category", "what it does"), rows)
    return replace(path, path.read_text(encoding="utf-8"), "components", table)


def render_policy(path: Path) -> str:
    """docs/policy.md with the evidence names of each stage."""
    rows = [
        (f"`{name}`", ", ".join(f"`{metric}`" for metric in stage["names"]))
        for name, stage in _evidence().items()
        if stage["names"]
    ]
    return replace(
        path, path.read_text(encoding="utf-8"), "evidence", _markdown(("stage", "names"), rows)
    )


def _evidence() -> dict[str, Any]:
    """What the stages say of their evidence: `stages.json` of `assay.governance.policy`."""
    return {
        name: {
            "about": stage.evidence.about,
            "names": stage.evidence.names,
            "requires": [asdict(item) for item in stage.evidence.requires],
        }
        for name, stage in library_stages().items()
        if stage.evidence is not None
    }


def render_settings(path: Path) -> str:
    """docs/settings.md with every environment variable."""
    headers = ("variable", "meaning", "value", "default", "used by", "in a cluster")
    tables = (
        f"## {title}\n\n{_markdown(headers, [*map(_setting, settings)])}"
        for title, settings in SECTIONS.items()
    )
    return replace(path, path.read_text(encoding="utf-8"), "settings", "\n\n".join(tables))


def render_exit_codes(path: Path) -> str:
    """docs/exit-codes.md with the table of `assay.errors`."""
    rows = [
        (str(code), "" if code == INTERRUPTED else VERDICTS.get(code, "failed"), meaning)
        for code, meaning in EXIT_CODES.items()
    ]
    table = _markdown(("exit code", "verdict", "meaning"), rows)
    return replace(path, path.read_text(encoding="utf-8"), "exit-codes", table)


def _setting(setting: Setting) -> tuple[str, ...]:
    group, _, key = setting.mounted.partition("/")
    place = f"Secret `assay-{group}`, key `{key}`" if group else ""
    return (
        f"`{setting.name}`",
        setting.meaning,
        f"{setting.form}; **secret**" if setting.secret else setting.form,
        setting.default_text,
        setting.used_by,
        "ConfigMap" if setting.config_map else place,
    )


def main() -> None:
    """Rewrite or check everything that is generated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a table is stale")
    check = parser.parse_args().check
    stale = []
    made = {
        path: render(path, component(name))
        for name, stage in library_stages().items()
        for path in [stage.folder / "README.md"]
    }
    components, ui, profiles, policy, settings, codes = (
        ROOT / f"docs/{name}.md"
        for name in ("components", "ui", "profiles", "policy", "settings", "exit-codes")
    )
    made |= {
        ui: render_ui(ui),
        profiles: render_profiles(profiles),
        policy: render_policy(policy),
        settings: render_settings(settings),
        codes: render_exit_codes(codes),
        components: render_components(components),
        **{page: performance.rendered(page) for page in (performance.PAGE, performance.SCALE)},
        EVIDENCE: json.dumps(_evidence(), indent=1) + "\n",
    }
    for path, text in made.items():
        if text != path.read_text(encoding="utf-8"):
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run: make goldens")


if __name__ == "__main__":
    main()
