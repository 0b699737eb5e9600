#!/bin/sh
# Looks for secrets in this repository, in what was ever committed and in what is not yet: .gitleaks.toml says which, and what is none.
#
#   GITLEAKS=.venv/bin/gitleaks sh deploy/leaks.sh
set -eu

# What is let pass is named in one place; no comment in a file can do that.
look() { "${GITLEAKS:-gitleaks}" git --config .gitleaks.toml --no-banner --redact --verbose --ignore-gitleaks-allow "$@"; }

made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
status=0
if git rev-parse --quiet --verify HEAD >"$made/head" 2>&1; then
	look || status=$?
	export GIT_INDEX_FILE="$made/index"
else # An archive of the files, which tells nothing of what was committed before.
	echo "no repository: only the files are searched" >&2
	export GIT_DIR="$made/git" GIT_WORK_TREE="$PWD"
	git init --quiet
	git -c user.name=leaks -c user.email= commit --quiet --allow-empty --message none
fi

# To an index of its own, everything that differs from the last commit is a change, files that are new included.
git read-tree HEAD
git add --intent-to-add .
look --pre-commit || status=$?
exit "$status"
