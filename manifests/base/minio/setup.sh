#!/bin/sh
# Makes MinIO ready: bucket, versioning, life cycle, and one user for each purpose with its policy.
# Can run any number of times; a new password in a Secret becomes the user's password.
# Secrets go through standard input, because arguments can be read by anybody on the node.
set -eu

here=$(dirname "$0")

mc() {
  command mc --config-dir "${MC_CONFIG:-/tmp/mc}" "$@"
}

pair() {
  printf '%s\n%s\n' "$1" "$2"
}

user() { # NAME PASSWORD POLICY
  mc admin policy create server "$3" "$here/policy-$3.json"
  pair "$1" "$2" | mc admin user add server
  mc admin policy attach server "$3" --user "$1"
}

tries=${TRIES:-60}
until pair "$ROOT_USER" "$ROOT_PASSWORD" | mc alias set server "$MINIO_URL"; do
  tries=$((tries - 1))
  if [ "$tries" -le 0 ]; then
    echo "error: $MINIO_URL does not answer, or refuses the root user of the Secret assay-minio-root" >&2
    exit 1
  fi
  sleep 2
done

mc mb --ignore-existing "server/$BUCKET"
mc version enable "server/$BUCKET"
mc ilm import "server/$BUCKET" < "$here/lifecycle.json"
user "$PIPELINES_USER" "$PIPELINES_PASSWORD" pipelines
user "$MLFLOW_USER" "$MLFLOW_PASSWORD" mlflow
if [ -n "${KFP_USER:-}" ]; then
  user "$KFP_USER" "$KFP_PASSWORD" kfp
fi
echo "bucket $BUCKET is ready"
