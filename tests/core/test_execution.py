"""Running steps: keys, the cache, records, signatures, and what must not happen."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core import plain_copies
from assay.core.attestation import about, load, parse, using
from assay.core.digest import canonical_json, hex_of
from assay.core.execution import CacheMode, Context, execute
from assay.core.provenance import find_attestation, passport, verify, verify_store
from assay.core.signing import Signer, Verifier
from assay.core.step import (
    Dataset,
    Lazy,
    Measurements,
    Model,
    Out,
    Record,
    Services,
    Step,
    Values,
    step,
)
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, put_tree
from assay.errors import (
    AttestationError,
    IntegrityError,
    NotFoundError,
    StepError,
    StoreError,
    UsageError,
)

from stories import flip

RUNS: list[str] = []


@step
def make(*, rows: int = 3, note: str = "", dataset: Out[Dataset]) -> Values:
    RUNS.append("make")
    (dataset.path / "part").mkdir()
    (dataset.path / "part" / "rows.txt").write_text("row\n" * rows)
    return {"rows": rows, "verdict": "pass"}


@step
def fit(*, data: Dataset, settings: dict[str, float] = {}, model: Out[Model]) -> None:  # noqa: B006
    RUNS.append("fit")
    text = (data.path / "part" / "rows.txt").read_text()
    (model.path / "model.txt").write_text(f"{len(text)} {sorted(settings.items())}")


@step
def clock(*, model: Model, times: Out[Measurements], extra: Out[Record] | None) -> None:
    RUNS.append("clock")
    (times.path / "evidence.json").write_text(str(time.perf_counter_ns()))


@step(side_effects=True)
def act(*, services: Services, model: Model | None, record: Out[Record]) -> Values:
    RUNS.append("act")
    (record.path / "record.json").write_text(str(services.store.url))
    return {"had_model": model is not None}


@step
def many(*, models: list[Model], model: Out[Model]) -> None:
    (model.path / "all.txt").write_text("\n".join(m.digest for m in models))


@pytest.fixture(autouse=True)
def _forget() -> None:
    RUNS.clear()


def chain(context: Context) -> tuple[str, str]:
    data = execute(make, {}, context).outputs["dataset"]
    return data, execute(fit, {"data": data}, context).outputs["model"]


OWN = """\
from assay.core.step import Dataset, Out, Values, step

@step
def count(*, out: Out[Dataset]) -> Values:
    HERE
    (out.path / "n.txt").write_text(str(number()))
    return {"n": number()}
"""
RUN = """\
import sys
from assay.core.context import store_from_env
from assay.core.execution import Context, execute
sys.path.insert(0, {late!r})
import own
done = execute(own.count, {{}}, Context(store_from_env()))
print(done.values["n"], done.cached, done.values.get("findings", ""))
"""


def test_other_helpers_beside_a_step_give_another_answer(context: Context, tmp_path: Path) -> None:
    """Each time in a process of its own: `helpers/` was in no key, and the answer was cached."""
    (tmp_path / "own.py").write_text(OWN.replace("HERE", "from helpers import number"))
    (tmp_path / "helpers").mkdir()

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(late=str(tmp_path))],
            env={**os.environ, "ASSAY_STORE": context.store.url},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    (tmp_path / "helpers/__init__.py").write_text("def number(): return 1\n")
    assert [run(), run()] == ["1 False", "1 True"]
    (tmp_path / "helpers/__init__.py").write_text("def number(): return 22\n")
    assert [run(), run()] == ["22 False", "22 True"]
    # Found when it runs, and not before: nothing is known of its code.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/late.py").write_text("def number(): return 3\n")
    hidden = f"import sys; sys.path.append({str(tmp_path / 'hidden')!r}); from late import number"
    (tmp_path / "own.py").write_text(OWN.replace("HERE", hidden))
    for _ in range(2):
        told = run()
        assert told.startswith("3 False")
        assert "imports late.number, of which the code is not found" in told
        assert "not kept in the cache" in told


def test_the_same_execution_is_cached(context: Context) -> None:
    first, second = chain(context), chain(context)
    assert first == second
    assert RUNS == ["make", "fit"]
    again = execute(make, {"rows": 3}, context)  # a default given is the default
    assert again.cached
    assert again.values == {"rows": 3, "verdict": "pass"}


def test_another_parameter_is_another_execution(context: Context) -> None:
    one, two = execute(make, {"rows": 3}, context), execute(make, {"rows": 4}, context)
    assert one.step_key != two.step_key
    assert one.outputs != two.outputs


def test_early_cut_off(context: Context) -> None:
    """A step that runs again and gives the same bytes re-runs nothing below it."""
    chain(context)
    RUNS.clear()
    changed = execute(make, {"note": "another parameter, the same rows"}, context)
    assert not changed.cached
    assert execute(fit, {"data": changed.outputs["dataset"]}, context).cached
    assert RUNS == ["make"]


def test_modes_of_the_cache(context: Context) -> None:
    chain(context)
    assert not execute(make, {}, replace(context, cache=CacheMode.OFF)).cached
    assert not execute(make, {}, replace(context, cache=CacheMode.REFRESH)).cached
    assert execute(make, {}, context).cached
    other = execute(make, {"rows": 9}, replace(context, cache=CacheMode.OFF))
    assert not execute(make, {"rows": 9}, context).cached, "off must not add to the cache"
    assert other.outputs == execute(make, {"rows": 9}, context).outputs


def test_numbers_that_are_equal_in_json_are_the_same_parameter(context: Context) -> None:
    """KFP hands 1 over as 1.0 inside of objects; the step gets what the key holds."""
    data = execute(make, {}, context).outputs["dataset"]
    whole = execute(fit, {"data": data, "settings": {"depth": 1}}, context)
    as_float = execute(fit, {"data": data, "settings": {"depth": 1.0}}, context)
    assert as_float.cached
    assert as_float.outputs == whole.outputs


def test_steps_with_side_effects_are_never_answered_from_the_cache(context: Context) -> None:
    assert not execute(act, {}, context).cached
    assert not execute(act, {}, context).cached
    assert RUNS == ["act", "act"]
    assert context.store.list_pointers("cache/") == []


def test_measured_outputs_are_marked(context: Context) -> None:
    _, model = chain(context)
    done = execute(clock, {"model": model}, context)
    assert done.outputs["extra"] == "", "an optional output left empty has no digest"
    record = load(context.store, done.attestation, None)
    assert record.outputs["times"].reproducible is False
    assert set(record.outputs) == {"times"}


def test_a_list_of_inputs_is_part_of_the_key(context: Context) -> None:
    _, one = chain(context)
    two = execute(fit, {"data": chain(context)[0], "settings": {"a": 2}}, context).outputs["model"]
    both = execute(many, {"models": [one, two]}, context)
    assert execute(many, {"models": [one, two]}, context).cached
    assert not execute(many, {"models": [two, one]}, context).cached
    assert load(context.store, both.attestation, None).inputs["models"] == [one, two]


def test_a_cache_entry_is_used_only_while_its_outputs_exist(context: Context) -> None:
    done = execute(make, {}, context)
    manifest = passport(context.store, done.outputs["dataset"], None)
    assert manifest.attestation is not None
    for path in Path(context.store.url.removeprefix("file://")).glob("blobs/sha256/*/*"):
        if path.read_bytes() == b"row\n" * 3:
            path.unlink()
    RUNS.clear()
    assert not execute(make, {}, context).cached
    assert RUNS == ["make"]
    assert execute(make, {}, context).cached


@pytest.mark.parametrize("content", [b"", b"{}", b"junk", b'{"attestation":"sha256:00"}'])
def test_a_damaged_cache_entry_is_ignored(context: Context, content: bytes) -> None:
    done = execute(make, {}, context)
    context.store.write_pointer(f"cache/{hex_of(done.step_key)}", content)
    assert not execute(make, {}, context).cached


def test_a_cache_entry_of_another_key_is_ignored(context: Context) -> None:
    one, two = execute(make, {"rows": 1}, context), execute(make, {"rows": 2}, context)
    stolen = context.store.read_pointer(f"cache/{hex_of(two.step_key)}")
    assert stolen is not None
    context.store.write_pointer(f"cache/{hex_of(one.step_key)}", stolen)
    again = execute(make, {"rows": 1}, context)
    assert not again.cached
    assert again.outputs == one.outputs


def test_all_wrong_arguments_are_listed_together(context: Context) -> None:
    data, _ = chain(context)
    with pytest.raises(UsageError) as caught:
        execute(clock, {"model": data, "nonsense": 1}, context)
    message = str(caught.value)
    assert "expected an artifact of type application/vnd.assay.model.v1" in message
    assert "unknown parameter 'nonsense'" in message
    with pytest.raises(UsageError, match="input 'data' is missing"):
        execute(fit, {}, context)
    with pytest.raises(UsageError, match="is not a digest"):
        execute(fit, {"data": "latest"}, context)


def test_an_input_that_is_not_in_the_store(context: Context) -> None:
    with pytest.raises(NotFoundError):
        execute(fit, {"data": "sha256:" + "0" * 64}, context)


def test_a_damaged_input_stops_the_step(context: Context) -> None:
    data, _ = chain(context)
    path = next(
        p
        for p in Path(context.store.url.removeprefix("file://")).glob("blobs/sha256/*/*")
        if p.read_bytes() == b"row\n" * 3
    )
    path.chmod(0o644)
    path.write_bytes(b"ROW\n" * 3)
    RUNS.clear()
    with pytest.raises(IntegrityError, match="nothing was written"):
        execute(fit, {"data": data, "settings": {"x": 1}}, context)
    assert RUNS == []


@pytest.mark.parametrize("mode", [CacheMode.REFRESH, CacheMode.OFF])
@pytest.mark.parametrize("damaged", ["file", "manifest"])
def test_what_is_computed_anew_takes_the_place_of_what_is_damaged(
    context: Context, mode: CacheMode, damaged: str
) -> None:
    """The bytes that were there had the right size, and stayed."""
    done = execute(make, {}, context)
    manifest = get_manifest(context.store, done.outputs["dataset"])
    blob = manifest.files[0].blob.digest if damaged == "file" else manifest.digest
    root = Path(context.store.url.removeprefix("file://"))
    path = root / "blobs/sha256" / hex_of(blob)[:2] / hex_of(blob)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    again = execute(make, {}, replace(context, cache=mode))
    assert again.outputs == done.outputs
    verify_store(context.store, None)
    execute(fit, {"data": done.outputs["dataset"], "settings": {"x": 2.0}}, context)


def test_a_step_must_keep_its_contract(context: Context) -> None:
    @step
    def silent(*, dataset: Out[Dataset]) -> None: ...

    @step
    def vandal(*, data: Dataset, model: Out[Model]) -> None:
        path = data.path / "part" / "rows.txt"
        path.chmod(0o644)
        path.write_text("mine")
        (model.path / "x").write_text("x")

    @step
    def chatty(*, dataset: Out[Dataset]) -> Values:
        (dataset.path / "x").write_text("x")
        return {"blob": "x" * 100_000}

    data, _ = chain(context)
    with pytest.raises(StepError, match="wrote nothing into its output 'dataset'"):
        execute(silent, {}, context)
    with pytest.raises(StepError, match="changed its inputs"):
        execute(vandal, {"data": data}, context)
    with pytest.raises(StepError, match="values larger"):
        execute(chatty, {}, context)


@step
def peeks(*, data: Lazy[Dataset], out: Out[Record]) -> Values:
    errors = 0
    for _ in range(2):
        try:
            data.file("rows.csv")
        except IntegrityError:
            errors += 1
    (out.path / "record.json").write_text("{}")
    return {"errors": errors, "there": (data.path / "rows.csv").exists()}


def test_a_damaged_file_of_a_lazy_input_is_refused_each_time(
    context: Context, tmp_path: Path
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "rows.csv").write_bytes(b"a,b\n1,2\n" * 100_000)
    digest = put_tree(context.store, folder, Dataset.type, {}).digest
    blob = get_manifest(context.store, digest).files[0].stored.digest
    flip(Path(context.store.location(blob).removeprefix("file:")))
    done = execute(peeks, {"data": digest}, context)
    assert dict(done.values) == {"errors": 2, "there": False}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("buildDefinition", "internalParameters", "entryPoint"), "a." * 2000 + "b:y"),
        (("buildDefinition", "internalParameters", "entryPoint"), 5),
        (("buildDefinition", "externalParameters", "step"), 5),
        (("buildDefinition", "externalParameters", "parameters"), []),
        (("runDetails", "metadata", "startedOn"), 5),
    ],
)
def test_an_attestation_with_values_that_nobody_writes_stops_no_reader(
    context: Context, place: tuple[str, ...], value: object
) -> None:
    _, model = chain(context)
    (record,) = about(context.store, model, None)
    statement = record.statement()
    fields = statement["predicate"]
    for name in place[:-1]:
        fields = fields[name]
    fields[place[-1]] = value
    with pytest.raises(AttestationError, match="not the attestation of an execution"):
        parse(statement, "sha256:" + "0" * 64)


def test_a_step_made_by_a_function_with_its_variables_is_refused() -> None:
    """Two of them had one step key, so the second got the first one's answer."""

    def scaled_by(factor: int) -> Step:
        @step
        def scaled(*, x: int, out: Out[Record]) -> None:
            (out.path / "record.json").write_text(str(x * factor))

        return scaled

    with pytest.raises(StepError, match="step scaled: it uses factor of the function"):
        scaled_by(2)


def test_a_step_whose_annotations_say_nothing_is_refused() -> None:
    with pytest.raises(StepError, match="no output"):
        step(lambda: None)  # type: ignore[arg-type]

    def positional(data: Dataset, model: Out[Model]) -> None: ...

    with pytest.raises(StepError, match="keyword-only"):
        step(positional)

    def odd(*, when: time.struct_time, tags: set[str], model: Out[Model]) -> None: ...

    with pytest.raises(StepError, match="a step cannot take") as refused:
        step(odd)
    first, second = refused.value.problems
    assert "'when' is annotated struct_time" in first
    assert "'tags' is annotated set[str]" in second


def test_the_attestation_describes_the_execution(context: Context) -> None:
    data, model = chain(replace(context, image="registry/x@sha256:" + "a" * 64, invocation="run-7"))
    (record,) = about(context.store, model, None)
    assert record.step == "fit"
    assert record.inputs == {"data": data}
    statement = record.statement()
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    names = [d["name"] for d in statement["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert names[:5] == ["input", "code/distributions", "code/modules", "code/step", "image"]
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == "run-7"
    assert [r.step for r in using(context.store, data, None)] == ["fit"]
    assert find_attestation(context.store, record.digest, None).digest == record.digest


def test_the_clock_and_the_run_reach_no_digest(context: Context, tmp_path: Path) -> None:
    elsewhere = Context(open_store((tmp_path / "other").as_uri()), invocation="another run")
    assert chain(context) == chain(elsewhere)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["predicate"]["buildDefinition"]["externalParameters"]["parameters"].update(
            rows=9
        ),
        lambda s: s["predicate"]["buildDefinition"]["internalParameters"].update(
            stepKey="sha256:" + "0" * 64
        ),
        lambda s: s["subject"][0].update(name="other", extra=1),
        lambda s: s.update(extra=1),
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s.pop("predicate"),
        lambda s: s["predicate"]["runDetails"].update(byproducts=[]),
    ],
)
def test_an_inconsistent_attestation_is_refused(context: Context, change: object) -> None:
    done = execute(make, {}, context)
    statement = load(context.store, done.attestation, None).statement()
    change(statement)  # type: ignore[operator]
    forged = context.store.put_bytes(canonical_json(statement)).digest
    with pytest.raises(AttestationError):
        load(context.store, forged, None)


# Signatures.


def key_pair(kind: str) -> tuple[Signer, Verifier, bytes]:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return Signer.from_pem(private), Verifier.from_pem(public), public


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_signed_attestations_are_accepted(context: Context, kind: str) -> None:
    signer, verifier, _ = key_pair(kind)
    signed = replace(context, signer=signer, verifier=verifier)
    _, model = chain(signed)
    assert chain(signed)[1] == model
    assert RUNS == ["make", "fit"]
    assert about(context.store, model, verifier)[0].signed_by == signer.key_id
    verify(context.store, model, verifier)


def test_with_a_configured_key_the_cache_ignores_unsigned_attestations(
    context: Context,
) -> None:
    signer, verifier, _ = key_pair("ed25519")
    _, model = chain(context)
    with pytest.raises(AttestationError, match="unsigned"):
        verify(context.store, model, verifier)
    strict = replace(context, signer=signer, verifier=verifier)
    RUNS.clear()
    assert not execute(make, {}, strict).cached
    assert execute(make, {}, strict).cached


def test_a_signature_by_another_key_is_refused(context: Context) -> None:
    signer, _, _ = key_pair("ed25519")
    _, other, _ = key_pair("ed25519")
    data, _ = chain(replace(context, signer=signer))
    with pytest.raises(AttestationError, match="no key in ASSAY_VERIFY_KEYS confirms"):
        about(context.store, data, other)
    assert not execute(make, {}, replace(context, verifier=other)).cached


def test_a_signature_does_not_hold_for_another_payload(context: Context) -> None:
    import base64

    signer, verifier, _ = key_pair("ed25519")
    done = execute(make, {}, replace(context, signer=signer))
    envelope = json.loads(context.store.get_bytes(done.attestation, 1 << 20))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["runDetails"]["metadata"]["invocationId"] = "forged"
    envelope["payload"] = base64.b64encode(canonical_json(statement)).decode()
    forged = context.store.put_bytes(canonical_json(envelope)).digest
    with pytest.raises(AttestationError, match="no key"):
        load(context.store, forged, verifier)


def test_invalid_keys_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from assay.core.signing import signer_from_env, verifier_from_env

    assert signer_from_env() is None
    assert verifier_from_env() is None
    monkeypatch.setenv("ASSAY_SIGNING_KEY", str(tmp_path / "missing.pem"))
    with pytest.raises(UsageError, match="cannot read"):
        signer_from_env()
    (tmp_path / "junk.pem").write_text("-----BEGIN NOTHING-----")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", str(tmp_path / "junk.pem"))
    with pytest.raises(UsageError, match="openssl genpkey"):
        signer_from_env()
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", str(tmp_path / "junk.pem"))
    with pytest.raises(UsageError, match="openssl pkey"):
        verifier_from_env()
    _, _, public = key_pair("ecdsa")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", public.decode())
    assert verifier_from_env() is not None


# Verification.


@pytest.mark.parametrize("each", [50, pytest.param(None, marks=pytest.mark.slow)])
def test_a_change_of_any_byte_of_a_store_is_detected(
    context: Context, folder_store: Store, each: int | None
) -> None:
    """Flip bytes of every file, `each` of them or all: verify catches each flip."""
    chance = random.Random(0)
    _, model = chain(context)
    execute(clock, {"model": model}, context)
    plain_copies.make(folder_store, get_manifest(folder_store, model))
    verify_store(folder_store, None)
    root = Path(folder_store.url.removeprefix("file://"))
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 15
    missed = []
    for path in files:
        data = path.read_bytes()
        path.chmod(0o644)
        places = range(len(data)) if each is None else chance.choices(range(len(data)), k=each)
        for position in {0, *places, len(data) - 1}:
            flipped = data[position] ^ chance.randrange(1, 256)
            path.write_bytes(data[:position] + bytes([flipped]) + data[position + 1 :])
            try:
                verify_store(folder_store, None)
                missed.append((path.relative_to(root), position))
            except IntegrityError:
                pass
        path.write_bytes(data)
    assert not missed
    verify_store(folder_store, None)


def test_verify_names_every_offender(context: Context, folder_store: Store) -> None:
    _, model = chain(context)
    root = Path(folder_store.url.removeprefix("file://"))
    wanted = [p for p in root.glob("blobs/sha256/*/*") if not p.read_bytes().startswith(b"{")]
    for path in wanted:
        path.chmod(0o644)
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(IntegrityError) as caught:
        verify(folder_store, model, None)
    assert all(path.name in str(caught.value) for path in wanted)


def test_an_artifact_without_an_attestation_does_not_verify(
    context: Context, tmp_path: Path
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x").write_text("x")
    manifest = put_tree(context.store, tmp_path / "t", Dataset.type, {})
    with pytest.raises(AttestationError, match="no attestation of how"):
        verify(context.store, manifest.digest, None)


@step
def gross(*, size: int, dataset: Out[Dataset]) -> None:
    with (dataset.path / "rows.bin").open("wb") as out:
        for _ in range(size):
            out.write(b"x" * 1024)


def test_a_full_work_disk_is_one_error_for_every_writer(context: Context, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", small], capture_output=True
    )
    if done.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        with pytest.raises(
            StoreError, match=r"no space left for the work folder.*ASSAY_WORK"
        ) as caught:
            execute(gross, {"size": 2000}, replace(context, work_root=small))
        assert "\n" not in str(caught.value)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert execute(gross, {"size": 2000}, context).outputs["dataset"]


@step
def copied(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "source").mkdir()
    (dataset.path / "source" / "rows.bin").write_text("x")

    def refuse(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number), source, None, target)

    shutil.copytree(dataset.path / "source", dataset.path / "target", copy_function=refuse)


@step
def wrapped(*, number: int, dataset: Out[Dataset]) -> None:
    raise RuntimeError(f"cannot write {dataset.path}") from OSError(number, os.strerror(number))


@pytest.mark.parametrize("writer", [copied, wrapped])
def test_a_full_work_disk_is_one_error_even_if_a_library_wraps_it(
    context: Context, tmp_path: Path, writer: Step
) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(
            StoreError, match=r"no space left for the work folder.*ASSAY_WORK"
        ) as caught:
            execute(writer, {"number": number}, replace(context, work_root=tmp_path))
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 7
    with pytest.raises((shutil.Error, RuntimeError)):
        execute(writer, {"number": errno.EIO}, replace(context, work_root=tmp_path))
    assert list(tmp_path.glob("assay-*")) == []


def test_a_missing_work_folder_is_one_error(context: Context, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot create a work folder"):
        execute(gross, {"size": 1}, replace(context, work_root=tmp_path / "gone"))
