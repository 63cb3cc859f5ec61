"""What the Dockerfile promises, read from its text; hadolint reads it in `make lint`."""

import re
from pathlib import Path

import yaml

from assay.runtime.images import ROLES

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "images" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument, lines joined and comments left out."""
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, rest in words]


def arguments(name: str) -> list[str]:
    return [value for found, value in instructions() if found == name]


def test_every_stage_stands_on_the_base_image() -> None:
    stages = arguments("FROM")
    assert len(stages) == 3
    assert all(stage.partition(" ")[0] == "${BASE_IMAGE}" for stage in stages)


def test_the_base_image_is_pinned() -> None:
    base = (ROOT / "images" / "base").read_text()
    assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}\n", base)
    assert ":latest" not in base


def test_packages_come_locked_by_hash_and_from_no_index_of_its_own() -> None:
    (install,) = [run for run in arguments("RUN") if "pip install" in run]
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "--no-cache-dir"):
        assert option in install
    text = FILE.read_text()
    assert "index-url" not in text
    assert "://" not in text


def test_how_the_index_is_reached_stays_out_of_what_is_shipped() -> None:
    found = instructions()
    last = max(n for n, (name, _) in enumerate(found) if name == "FROM")
    assert any("PIP_INDEX_URL" in value for _, value in found[:last])
    assert not any("PIP_" in value for _, value in found[last:])


def test_it_runs_as_the_user_that_the_profile_for_production_names() -> None:
    text = (ROOT / "manifests" / "profiles" / "production.yaml").read_text()
    security = yaml.safe_load(text)["security"]
    user = f"{security['run_as_user']}:{security['run_as_group']}"
    assert arguments("USER") == [user]
    # Nothing that needs root comes after.
    after = [name for name, _ in instructions()]
    assert "RUN" not in after[after.index("USER") :]


def test_results_hang_on_no_seed_and_no_number_of_cores() -> None:
    variables = dict(item.split("=", 1) for value in arguments("ENV") for item in value.split())
    assert variables["PYTHONHASHSEED"] == "0"
    for library in ("OMP", "OPENBLAS", "MKL"):
        assert variables[f"{library}_NUM_THREADS"] == "1"
    assert variables["HOME"] == "/tmp"  # noqa: S108 - what may be written to


def test_an_image_is_labelled_with_its_source() -> None:
    (labels,) = arguments("LABEL")
    for name in ("source", "revision", "version", "base.name", "licenses", "title"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert 'title="assay-python-${ROLE}"' in labels
    helper = (ROOT / "images" / "build.py").read_text()
    assert re.findall(r'^    "(\w+)": "Assay: the components', helper, re.MULTILINE) == list(ROLES)


def test_git_is_in_the_image_that_releases_alone() -> None:
    (install,) = [run for run in arguments("RUN") if "apt-get" in run]
    assert install.startswith('if [ "$ROLE" = deploy ]; then')
