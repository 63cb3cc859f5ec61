#!/usr/bin/env bash
# A cluster on one machine: kind.sh up | smoke | down. Needs Docker, kind and kubectl.
set -euo pipefail
cd "$(dirname "$0")/../.."

KFP_VERSION=$(sed -n 's/.*?ref=//p' manifests/kind/kfp/kustomization.yaml)
KFP=github.com/kubeflow/pipelines/manifests/kustomize
CLUSTER=assay
CONTEXT=kind-$CLUSTER
VERSION=$(.venv/bin/python -c 'import assay; print(assay.__version__)' 2> /dev/null || true)

kube() { kubectl --context "$CONTEXT" "$@"; }

up() {
  kind get clusters | grep -qx "$CLUSTER" || kind create cluster --config manifests/kind/cluster.yaml --wait 5m
  for role in data train release deploy; do
    docker image inspect "assay-python-$role:$VERSION" > /dev/null || make images
    kind load docker-image "assay-python-$role:$VERSION" --name "$CLUSTER"
  done
  kube apply -k "$KFP/cluster-scoped-resources?ref=$KFP_VERSION"
  kube wait --for condition=established --timeout=60s crd/applications.app.k8s.io
  kube apply -k manifests/kind/kfp
  kube apply -k manifests/overlays/kind
  kube -n assay wait --for=condition=complete job/minio-setup --timeout=10m
  kube -n assay rollout status deployment/mlflow --timeout=10m
  kube -n kubeflow rollout status deployment/ml-pipeline --timeout=15m
}

forward() { # NAMESPACE SERVICE LOCAL:REMOTE
  kube -n "$1" port-forward "svc/$2" "$3" > /dev/null &
  forwards+=($!)
}

smoke() {
  forwards=()
  trap 'kill "${forwards[@]}" 2> /dev/null || true' EXIT
  forward kubeflow ml-pipeline 8888:8888
  forward assay minio 9000:9000
  forward assay mlflow 5000:5000
  sleep 5
  .venv/bin/python manifests/kind/smoke.py
}

case ${1:-} in
  up | smoke) "$1" ;;
  down) kind delete cluster --name "$CLUSTER" ;;
  *) echo "usage: kind.sh up | smoke | down" >&2; exit 2 ;;
esac
