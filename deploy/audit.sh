#!/bin/sh
# Asks for known vulnerabilities of everything in locks. What cannot be asked about is a failure, too, and another one.
#
#   PIP_AUDIT=.venv/bin/pip-audit sh deploy/audit.sh requirements.lock ...    # 0: none known; 1: some are; 3: no answer
#
# AUDIT_SERVICE is pypi or osv. A mirror of packages has no word of their vulnerabilities.
set -eu

: "${AUDIT_SERVICE:=pypi}" "${PIP_AUDIT:=pip-audit}"

said=$(mktemp)
trap 'rm -f "$said"' EXIT

# With --strict it stops at what it cannot ask about, and then prints no table: both ways it ends with 1.
ask() {
	"$PIP_AUDIT" --strict --require-hashes --disable-pip --progress-spinner off --vulnerability-service "$AUDIT_SERVICE" \
		--requirement "$1" 2>"$said"
}

vulnerable='' unanswered=''
for lock in "$@"; do
	if table=$(ask "$lock"); then
		echo "$lock: nothing is known"
	elif [ -n "$table" ]; then
		printf '%s:\n%s\n' "$lock" "$table"
		vulnerable="$vulnerable $lock"
	else
		printf '%s: %s\n' "$lock" "$(tail -n 1 "$said")" >&2
		unanswered="$unanswered $lock"
	fi
done

if [ -n "$unanswered" ]; then
	echo "Not audited, because $AUDIT_SERVICE did not answer for all of it:$unanswered" >&2
	echo "Where only a mirror of packages is reached, AUDIT_SERVICE=osv may be, and if not, only another machine can audit." >&2
fi
if [ -n "$vulnerable" ]; then
	echo "Vulnerable:$vulnerable" >&2
	exit 1
fi
[ -z "$unanswered" ] || exit 3
