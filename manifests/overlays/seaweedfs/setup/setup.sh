#!/bin/sh
# Makes KFP's SeaweedFS ready: two buckets, and a user for each that may use that bucket only.
# Can run any number of times.
set -eu

shell() {
  # A master that is not there is waited for without end.
  timeout "${SECONDS_EACH:-60}" weed shell -master="$MASTER" -filer="$FILER" 2>&1
}

weed_shell() {
  # It prints the keys it is given, and ends with 0 after some failures: only its errors are shown.
  answer=$(shell) || answer="$answer
error: weed shell failed; does $MASTER answer?"
  if printf '%s\n' "$answer" | grep -i '^error' >&2; then
    return 1
  fi
}

user() { # BUCKET USER PASSWORD
  if ! printf 's3.bucket.list\n' | shell | grep -q "^  $1[[:space:]]"; then
    printf 's3.bucket.create -name %s\n' "$1" | weed_shell
  fi
  printf 's3.configure -user %s -access_key %s -secret_key %s -buckets %s -actions Read,Write,List -apply\n' \
    "assay-$1" "$2" "$3" "$1" | weed_shell
}

user assay "$PIPELINES_USER" "$PIPELINES_PASSWORD"
user mlflow "$MLFLOW_USER" "$MLFLOW_PASSWORD"
echo "buckets assay and mlflow are ready"
