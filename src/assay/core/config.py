"""Configuration: all of it comes from the environment, so that a component needs no parameters for it.

| variable | meaning | default |
|---|---|---|
| `ASSAY_STORE` | where blobs lie: `file:///folder` or `s3://bucket/prefix?endpoint=http://host:port` | none; the command line uses `./.assay/store` |
| `ASSAY_STORE_TIMEOUT` | seconds that one request to an S3 store may take, apart from its bytes | 120 |
| `ASSAY_STORE_MIN_RATE` | bytes per second below which a transfer is given up | 16384 |
| `ASSAY_CACHE` | `read-write`, `off` or `refresh` | `read-write` |
| `ASSAY_SIGNING_KEY` | private key that signs attestations (PEM text, or a path) | unsigned |
| `ASSAY_VERIFY_KEYS` | public keys (keys.yaml, or PEM); once set, nothing unsigned is believed | nothing asked |
| `ASSAY_SOURCES` | what may be read: `assay.core.locations` | all files, https; in a cluster nothing but the store's server |
| `ASSAY_ALLOWED_CLASSES` | classes of models besides scikit-learn's, separated by commas | none |
| `ASSAY_WORK` | folder for work folders | the system's temporary folder |
| `ASSAY_IMAGE` | reference of the running image; compiled pipelines set it | none |
| `ASSAY_GIT_COMMIT`, `ASSAY_GIT_REPOSITORY` | what the image was built from; images set them | the checkout, if there is one |
| `ASSAY_RUN` | the run's id, for attestations | none |
| `ASSAY_DEPLOYMENTS`, `ASSAY_FORGE`, … | the deployment repository and its forge: `assay.releases.settings` | none |
| `ASSAY_MAX_COLUMNS` | columns that a table may have | 20,000 |
| `ASSAY_MAX_TABLE_BYTES` | bytes that a table may have, as it is fetched and unpacked | 32 GiB |
| `ASSAY_MAX_PART_BYTES` | bytes that the rows of one part may take in memory | 1 GiB |
| `ASSAY_MAX_UNPACKED_RATIO` | how many times its size a file may unpack to, from 256 MiB on | 200 |
| `ASSAY_MAX_READ_SECONDS` | how long the reading of a table may take | 14,400 (4 hours) |
| `ASSAY_EVENTS` | file that receives one JSON line per event, for whoever follows a run | none |

Credentials of the store come from the variables that S3 clients read (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, ...), those of MLflow from its own.
"""  # noqa: E501 - a table's rows

import os
from pathlib import Path

from assay.core.execution import CacheMode, Context
from assay.core.limits import Limits
from assay.core.signing import signer_from_env, verifier_from_env
from assay.core.step import Services
from assay.core.store import Store, open_store
from assay.errors import UsageError


def store_from_env() -> Store:
    """The store that `ASSAY_STORE` names.

    Raises:
        UsageError: It is unset, or no store URL.
    """
    url = os.environ.get("ASSAY_STORE", "")
    if not url:
        raise UsageError(
            "ASSAY_STORE is not set; give the store's URL, such as file:///data/assay "
            "or s3://bucket/prefix?endpoint=http://minio:9000"
        )
    return open_store(url)


def services_from_env() -> Services:
    """The store and whose signatures count, for work outside of an execution.

    Raises:
        UsageError: A variable that is missing or cannot be used; the message names it.
    """
    return Services(store_from_env(), verifier_from_env())


def context_from_env() -> Context:
    """Everything an execution needs, from the environment.

    Raises:
        UsageError: A variable that is missing or cannot be used; the message names it.
    """
    mode = os.environ.get("ASSAY_CACHE") or CacheMode.READ_WRITE.value
    if mode not in {item.value for item in CacheMode}:
        modes = ", ".join(CacheMode)
        raise UsageError(f"ASSAY_CACHE: {mode!r} is not a cache mode; use one of {modes}")
    work = os.environ.get("ASSAY_WORK", "")
    if work and not Path(work).is_dir():
        raise UsageError(f"ASSAY_WORK: {work} is not a folder; create it, or unset the variable")
    return Context(
        store=store_from_env(),
        cache=CacheMode(mode),
        signer=signer_from_env(),
        verifier=verifier_from_env(),
        image=os.environ.get("ASSAY_IMAGE", ""),
        invocation=os.environ.get("ASSAY_RUN", ""),
        work_root=Path(work) if work else None,
        # What is larger as it lies there is larger unpacked.
        max_source_bytes=Limits.from_env().table_bytes,
    )
