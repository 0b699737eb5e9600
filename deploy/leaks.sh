#!/bin/sh
# Looks for secrets in this repository, in what was ever committed and in what is not yet: .gitleaks.toml says which, and what is none.
#
#   GITLEAKS=.venv/bin/gitleaks sh deploy/leaks.sh
set -eu

# What is let pass is named in one place; no comment in a file can do that.
look() { "${GITLEAKS:-gitleaks}" git --config .gitleaks.toml --no-banner --redact --verbose --ignore-gitleaks-allow "$@"; }

look && status=0 || status=$?

# To an index of its own, everything that differs from the last commit is a change, files that are new included.
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
export GIT_INDEX_FILE="$made/index"
git read-tree HEAD
git add --intent-to-add .
look --pre-commit || status=$?
exit "$status"
