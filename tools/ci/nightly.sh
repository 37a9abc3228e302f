#!/bin/sh
# What .github/workflows/nightly.yml runs: the nightly tests. Some need the official files of Fashion-MNIST; without a mirror
# (DATASET_MIRROR) these are fetched first, checked, and handed to the tests as one.
set -eu

if [ -z "${DATASET_MIRROR-}" ]; then
    make setup
    .venv/bin/python -m stages.download
    DATASET_MIRROR=$(mktemp -d)
    export DATASET_MIRROR
    ln -s "$PWD/data/raw" "$DATASET_MIRROR/fashion_mnist"
fi
make test-nightly
