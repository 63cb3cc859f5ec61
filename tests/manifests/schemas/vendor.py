"""Write the schemas of custom resources anew from their Go modules: `python vendor.py` (needs Go).

Kept is what the manifests use: `spec` without descriptions, of SecretStore only the Vault provider.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

SECRETS: Final = "github.com/external-secrets/external-secrets@v1.3.2"
ARGO: Final = "github.com/argoproj/argo-cd/v3@v3.6.1"
SOURCES: Final = (
    (SECRETS, "config/crds/bases/external-secrets.io_externalsecrets.yaml", "v1"),
    (SECRETS, "config/crds/bases/external-secrets.io_secretstores.yaml", "v1"),
    (ARGO, "manifests/crds/application-crd.yaml", "v1alpha1"),
    (ARGO, "manifests/crds/appproject-crd.yaml", "v1alpha1"),
)


def main() -> None:
    """Download each module and write its schemas beside this file."""
    for module, path, version in SOURCES:
        # Go exits with 1 for a module that asks for a newer Go, and still downloads it.
        answer = subprocess.run(
            ["go", "mod", "download", "-json", module],
            check=False,
            capture_output=True,
            text=True,
        )
        zip_path = json.loads(answer.stdout)["Zip"]
        text = subprocess.run(
            ["unzip", "-p", zip_path, f"{module}/{path}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        crd = yaml.safe_load(text)
        served = next(item for item in crd["spec"]["versions"] if item["name"] == version)
        schema = _bare(served["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        # Argo's controller writes it; it is no part of what a person writes.
        schema["properties"].pop("operation", None)
        schema.setdefault("required", []).append("spec")
        schema["required"] = sorted(set(schema["required"]) - {"status"})
        kind = crd["spec"]["names"]["kind"]
        if kind == "SecretStore":
            provider = schema["properties"]["spec"]["properties"]["provider"]
            provider["properties"] = {"vault": provider["properties"]["vault"]}
        document = {
            "$comment": f"{module}, {path}; Apache-2.0",
            "group": crd["spec"]["group"],
            "plural": crd["spec"]["names"]["plural"],
            "kind": kind,
            "version": version,
            "schema": schema,
        }
        target = Path(__file__).parent / f"{kind.lower()}.json"
        target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _bare(item)
            for key, item in value.items()
            if not (key == "description" and isinstance(item, str))
        }
    return [_bare(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
