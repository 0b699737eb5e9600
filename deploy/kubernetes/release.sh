#!/bin/sh
# Rolls an environment to an image. If the new pods do not get ready, or the smoke test fails, rolls it back and fails.
#
#   ENVIRONMENT=staging IMAGE=registry/tekana@sha256:... BASE_URL=https://... sh deploy/kubernetes/release.sh
#   ENVIRONMENT=staging IMAGE=registry/tekana@sha256:... sh deploy/kubernetes/release.sh back    # to this earlier image
#
# SMOKE_KEY, the smoke test's API key, is in the environment (`read -rs SMOKE_KEY; export SMOKE_KEY`): `ps` shows arguments.
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

# Whatever fails for one deployment, the others go back: half a release is the worst of all.
undo() {
	failed=0
	while read -r name revision; do
		in_namespace rollout undo "$name" --to-revision="$revision" || failed=1
	done <"$work/before"
	are_ready && [ "$failed" = 0 ]
}

# To an image, not to "the revision before": after a roll-back that is the release that was bad, and after a restart for
# a secret it is the same image. "*" is every container of a pod, for all are ours.
go_back() {
	names=$(deployments) || return 1
	[ -n "$names" ] || { echo "nothing runs in $namespace" >&2 && return 1; }
	failed=0
	for name in $names; do in_namespace set image "$name" "*=$IMAGE" || failed=1; done
	are_ready && [ "$failed" = 0 ]
}

: "${IMAGE:?name@sha256:..., as make publish prints it}"
case $IMAGE in
*@sha256:*) ;;
*) echo "$IMAGE has no digest: a tag may stand for something else tomorrow" >&2 && exit 2 ;;
esac
if [ "${1:-}" = back ]; then
	go_back || exit 1
	echo "$ENVIRONMENT is back at $IMAGE"
	exit
fi
: "${BASE_URL:?where the smoke test finds the API}"
remember
overlay
if roll && is_working; then
	echo "$ENVIRONMENT runs $IMAGE"
	exit
fi
echo "rolling $ENVIRONMENT back" >&2
undo || echo "the roll-back did not get ready: see kubectl --namespace $namespace get pods" >&2
exit 1
