"""What a profile adds to a compiled pipeline, as the cluster reads it."""

from pathlib import Path

from assay.cli.catalog import pipeline
from assay.cli.compile import compile_one
from assay.cluster.profile import parse_profile
from assay.runtime.images import read_images

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("profile-production.golden")


def test_the_production_profile(*, update_goldens: bool) -> None:
    profile = parse_profile((ROOT / "manifests/profiles/production.yaml").read_bytes())
    _, _, platform = compile_one(
        pipeline("train-and-register"), read_images(None, development=True), profile
    ).partition("\n---\n")
    if update_goldens:
        GOLDEN.write_text(platform)
    assert platform == GOLDEN.read_text()
