#!/bin/sh
# Rolls an environment to an image. If the new pods do not get ready, or the smoke test fails, rolls it back and fails.
#
#   ENVIRONMENT=staging IMAGE=registry/tekana@sha256:... BASE_URL=https://... SMOKE_KEY=tk_... sh deploy/kubernetes/release.sh
#   ENVIRONMENT=staging sh deploy/kubernetes/release.sh back    # one revision of every deployment
#
# The schema only goes forward: each migration works while the release before it runs, so that rolling back leaves it.
set -eu

: "${ENVIRONMENT:?staging or production}"
MIGRATE_SECONDS=900 # activeDeadlineSeconds of the Job.
READY_SECONDS=600   # A pod waits for the schema, imports and starts in half a minute; drains take 45 s, one after the other.

overlays=$(dirname "$0")/overlays
namespace=$(sed -n 's/^namespace: *//p' "$overlays/$ENVIRONMENT/kustomization.yaml")
work=$(mktemp -d "$overlays/release.XXXXXX")
trap 'rm -rf "$work"' EXIT

in_namespace() { kubectl --namespace "$namespace" "$@"; }

deployments() { in_namespace get deployments --selector app.kubernetes.io/name=tekana --output name; }

revision() { in_namespace get "$1" --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'; }

remember() {
	names=$(deployments)
	for name in $names; do echo "$name $(revision "$name")"; done >"$work/before"
}

# The overlay with the image of this release: nothing that is checked in is edited.
overlay() {
	cat >"$work/kustomization.yaml" <<-END
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		resources: [../$ENVIRONMENT]
		images: [{name: tekana, newName: "${IMAGE%@*}", digest: "${IMAGE#*@}"}]
	END
}

roll() {
	in_namespace delete job migrate --ignore-not-found &&
		kubectl apply --kustomize "$work" &&
		in_namespace wait --for=condition=complete job/migrate --timeout="${MIGRATE_SECONDS}s" &&
		are_ready
}

are_ready() {
	names=$(deployments) || return 1
	for name in $names; do
		in_namespace rollout status "$name" --timeout="${READY_SECONDS}s" || return 1
	done
}

is_working() { ${SMOKE:-make smoke}; }

undo() {
	while read -r name revision; do
		in_namespace rollout undo "$name" --to-revision="$revision" || return 1
	done <"$work/before"
	are_ready
}

if [ "${1:-}" = back ]; then
	names=$(deployments)
	[ -n "$names" ] || { echo "nothing runs in $namespace" >&2 && exit 1; }
	for name in $names; do in_namespace rollout undo "$name"; done
	are_ready
	exit
fi

: "${IMAGE:?name@sha256:..., as make publish prints it}" "${BASE_URL:?where the smoke test finds the API}"
case $IMAGE in
*@sha256:*) ;;
*) echo "$IMAGE has no digest: a tag may stand for something else tomorrow" >&2 && exit 2 ;;
esac
remember
overlay
if roll && is_working; then
	echo "$ENVIRONMENT runs $IMAGE"
	exit
fi
echo "rolling $ENVIRONMENT back" >&2
undo || echo "the roll-back did not get ready: see kubectl --namespace $namespace get pods" >&2
exit 1
