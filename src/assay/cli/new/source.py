"""The text of component.py, in the form that `ruff format` gives it."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

from assay.cli.new.declaration import REQUIRED, STEP, TASK, Declaration, Output, Parameter

WIDTH: Final = 100
_INDENT: Final = "    "
_JUDGES: Final = {"block": "BLOCKS", "reject": "REJECTS"}
_READABLE: Final = 10_000
"""From here on whole numbers have underscores."""


def source(declared: Declaration, command: str) -> str:
    """The text of a stage's component.py.

    Args:
        declared: What it declares.
        command: What generates it.
    """
    files = [
        f"{name}.py" for name in (STEP, TASK) if (declared.stage.folder / f"{name}.py").exists()
    ]
    lines = [
        f"# Generated from {', '.join(files)} and stage.yaml by `{command}`. Do not edit.",
        f'"""The KFP declaration of {declared.stage.name}."""',
        "",
        *_imports(declared),
        "",
        "",
        *_decorator(declared),
        *_signature(declared),
        *_docstring(declared),
        *_body(declared),
    ]
    return "\n".join(lines) + "\n"


def _imports(declared: Declaration) -> Iterator[str]:
    types = [item.type for item in declared.parameters]
    names = ["NamedTuple"] if declared.outputs else []
    names += ["Optional"] if any(kind.startswith("Optional[") for kind in types) else []
    given = declared.stage.component
    if names:
        yield f"from typing import {', '.join(names)}"
        yield ""
    if given.base_image:
        yield "from kfp import dsl"
        return
    if given.artifacts or any(kind.startswith("dsl.") for kind in types):
        yield "from kfp import dsl"
        yield ""
    yield "from assay.runtime.declaration import component"


def _decorator(declared: Declaration) -> Iterator[str]:
    base = declared.stage.component.base_image
    if not base:
        yield f'@component("{declared.stage.image}")'
        return
    words = [f"base_image={_literal(base)}", "install_kfp_package=False"]
    yield from _call("@dsl.component", words, "")


def _signature(declared: Declaration) -> Iterator[str]:
    yield f"def {declared.stage.name}("
    needed, others = _by_need(declared)
    for item in needed:
        yield f"{_INDENT}{item.name}: {item.type},"
    for name, artifact in declared.stage.component.artifacts.items():
        yield f"{_INDENT}{name}: dsl.Output[dsl.{artifact.type}],"
    for item in others:
        yield from _default(item)
    yield from _returned(declared.outputs)


def _by_need(declared: Declaration) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters without a default, and those with one; UI artifacts come between them."""
    needed = [item for item in declared.parameters if item.default is REQUIRED]
    return needed, [item for item in declared.parameters if item.default is not REQUIRED]


def _default(parameter: Parameter) -> Iterator[str]:
    head = f"{_INDENT}{parameter.name}: {parameter.type} = "
    line = f"{head}{_literal(parameter.default)},"
    if len(line) <= WIDTH or not isinstance(parameter.default, list):
        yield line
        return
    yield f"{head}["
    yield from (f"{_INDENT * 2}{_literal(item)}," for item in parameter.default)
    yield f"{_INDENT}],"


def _returned(outputs: Iterable[Output]) -> Iterator[str]:
    pairs = [f'("{item.name}", {item.type})' for item in outputs]
    line = f') -> NamedTuple("Outputs", [{", ".join(pairs)}]):'
    if not pairs:
        yield ") -> None:"
    elif len(line) <= WIDTH:
        yield line
    else:
        yield ") -> NamedTuple("
        yield f'{_INDENT}"Outputs",'
        yield f"{_INDENT}["
        yield from (f"{_INDENT * 2}{pair}," for pair in pairs)
        yield f"{_INDENT}],"
        yield "):"


def _docstring(declared: Declaration) -> Iterator[str]:
    artifacts = declared.stage.component.artifacts
    needed, others = _by_need(declared)
    arguments = [(item.name, item.meaning) for item in needed]
    arguments += [(name, item.meaning) for name, item in artifacts.items()]
    arguments += [(item.name, item.meaning) for item in others]
    returns = [(item.name, item.meaning) for item in declared.outputs]
    texts = [declared.description, *(meaning for _, meaning in (*arguments, *returns))]
    first, *more = declared.description.splitlines()
    raw = "r" if any("\\" in text for text in texts) else ""
    yield f'{_INDENT}{raw}"""{first}'
    yield from (f"{_INDENT}{line}" if line else "" for line in _wrapped(more))
    for title, entries in (("Args", arguments), ("Returns", returns)):
        if entries:
            yield ""
            yield f"{_INDENT}{title}:"
        for name, meaning in entries:
            yield from textwrap.wrap(
                f"{name}: {meaning}",
                WIDTH,
                initial_indent=_INDENT * 2,
                subsequent_indent=_INDENT * 3,
                break_long_words=False,
                break_on_hyphens=False,
            )
    yield f'{_INDENT}"""'


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Lines that fit; those of a step's docstring do already."""
    for line in lines:
        yield from textwrap.wrap(line, WIDTH - len(_INDENT), break_on_hyphens=False) or [""]


def _body(declared: Declaration) -> Iterator[str]:
    yield from _body_imports(declared)
    yield ""
    own = [
        f"{STEP if name == declared.stage.name else f'{name}_{STEP}'}.{name}"
        for name in declared.packages
    ]
    if not declared.is_step:
        names = [item.name for item in declared.parameters]
        names += declared.stage.component.artifacts
        yield from _call("guard", [own[0], *(f"{name}={name}" for name in names)])
        return
    given = declared.stage.component
    steps = own[0] if len(own) == 1 and _is_own(declared) else f"[{', '.join(own)}]"
    words = [steps, "locals()", *(f'"{item.name}"' for item in declared.outputs)]
    if len(own) > 1:
        words.append(f'name="{declared.stage.name}"')
    if given.judge:
        words.append(f"judge={_JUDGES[given.judge]}")
    if given.lists:
        lists = (f'"{name}": {_literal(list(parts))}' for name, parts in given.lists.items())
        words.append(f"lists={{{', '.join(lists)}}}")
    if declared.has_task:
        words.append(f"by={TASK}.{declared.stage.name}")
    start = "return " if declared.outputs else ""
    yield from _call(f"{start}{_function(declared)}", words)


def _is_own(declared: Declaration) -> bool:
    return list(declared.packages) == [declared.stage.name]


def _function(declared: Declaration) -> str:
    if not declared.is_step:
        return "guard"
    return "execute" if len(declared.packages) == 1 else "execute_all"


def _body_imports(declared: Declaration) -> Iterator[str]:
    """Imports within the function: KFP reads its declaration without them."""
    judge = declared.stage.component.judge
    names = [*([_JUDGES[judge]] if judge else []), _function(declared)]
    runtime = ("assay.runtime.kfp", ", ".join(names))
    modules = {
        package: STEP if name == declared.stage.name else f"{STEP} as {name}_{STEP}"
        for name, package in declared.packages.items()
    }
    if declared.has_task:
        step = modules.get(declared.package)
        modules[declared.package] = f"{step}, {TASK}" if step else TASK
    items = sorted([runtime, *modules.items()])
    library = [item for item in items if item[0].startswith("assay.")]
    own = [item for item in items if item not in library]
    yield from (f"{_INDENT}from {module} import {what}" for module, what in library)
    if own:
        yield ""
        yield from (f"{_INDENT}from {module} import {what}" for module, what in own)


def _call(function: str, words: list[str], indent: str = _INDENT) -> Iterator[str]:
    line = f"{indent}{function}({', '.join(words)})"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{indent}{function}("
    for word in words:
        yield from _argument(word, f"{indent}{_INDENT}")
    yield f"{indent})"


def _argument(word: str, indent: str) -> Iterator[str]:
    """An argument of a call, a list of many names over several lines."""
    line = f"{indent}{word},"
    if len(line) <= WIDTH or not word.startswith("["):
        yield line
        return
    yield f"{indent}["
    yield from (f"{indent}{_INDENT}{item}," for item in word[1:-1].split(", "))
    yield f"{indent}],"


def _literal(value: Any) -> str:
    """A JSON value as Python source."""
    if isinstance(value, str):
        plain = '"' in value and "'" not in value
        return repr(value) if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(k)}: {_literal(v)}' for k, v in value.items())}}}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _READABLE:
        return f"{value:_}"
    return repr(value)
