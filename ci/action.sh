#!/usr/bin/env bash
# What action.yml runs: install this package, run the suite, and say what came of it. All input comes by environment.
set -euo pipefail

case "$FAIL_ON" in
    less-than-conformant | not-conformant | never) ;;
    *)
        echo "::error::fail-on is '$FAIL_ON'; it may be less-than-conformant, not-conformant or never"
        exit 1
        ;;
esac
python="${CILIUMWG_SKIP_INSTALL:-}" # of the project's tests, which have it installed already
if [ -z "$python" ]; then
    python -m venv "$WORK/ciliumwg"
    python="$WORK/ciliumwg/bin/python"
    "$python" -m pip install --quiet "${GITHUB_ACTION_PATH:?}"
fi

# An empty value is an error for the plugin, so only what was given is passed on.
[ -z "$CILIUM_VERSION" ] || export CILIUMWG_CILIUM_VERSION="$CILIUM_VERSION"
[ -z "$ROUTING" ] || export CILIUMWG_ROUTING="$ROUTING"
[ -z "$IP_FAMILY" ] || export CILIUMWG_IP_FAMILY="$IP_FAMILY"
[ -z "$KUBECONFIG_PATH" ] || export CILIUMWG_KUBECONFIG="$KUBECONFIG_PATH"
[ -z "$PROFILE" ] || export CILIUMWG_PROFILE="$PROFILE"
more=()
while IFS= read -r line; do
    [ -z "$line" ] || more+=("$line")
done <<<"$ARGUMENTS"

report="$CILIUMWG_REPORT/report.json"
rm -f "$report" # of an earlier use in the same job: it would stand for a run that does not even begin
cd "$WORK"
status=0
"$python" -m pytest --ciliumwg -p no:cacheprovider --junit-xml="$CILIUMWG_REPORT/junit.xml" "${more[@]}" || status=$?

told() { # FIELD DEFAULT
    if [ -f "$report" ]; then
        "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$report" "$1"
    else
        echo "$2"
    fi
}
outcome="$(told outcome none)"
{
    echo "outcome=$outcome"
    echo "verdict=$(told verdict "no run was made (exit status $status)")"
    echo "report=$CILIUMWG_REPORT"
} >>"$GITHUB_OUTPUT"

case "$FAIL_ON:$outcome" in
    *:none) exit "$((status > 0 ? status : 1))" ;; # what could not even begin is no result
    never:*) exit 0 ;;
    not-conformant:not-conformant | less-than-conformant:partial | less-than-conformant:inconclusive | \
        less-than-conformant:not-conformant)
        exit 1
        ;;
    *:conformant) exit "$status" ;; # tests of your own that failed, a cluster that could not be put back as it was
    *) exit "$((status > 1 ? status : 0))" ;;
esac
