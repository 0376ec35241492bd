#!/usr/bin/env bash
# What the action does: installs the site's own client in an environment of its own, submits, waits.
set -euo pipefail
folder=$(mktemp -d)
python -m venv "$folder/client"
"$folder/client/bin/pip" install -q "$(curl -fsS "${FLOWERTUNE_URL%/}/client/url")"
watch=()
if [[ ${TIMEOUT:-0} != 0 ]]; then watch=(--watch --timeout "$TIMEOUT"); fi
stated=()
if [[ ${NOT_TRAINED_ON_TEST_ITEMS:-} == true ]]; then stated+=(--not-trained-on-test-items); fi
if [[ -n ${TRAINING_DATA:-} ]]; then stated+=("--training-data=$TRAINING_DATA"); fi
arguments=()
while IFS= read -r line; do
    if [[ -n $line ]]; then arguments+=("$line"); fi
done <<<"${ARGUMENTS:-}"
status=0
"$folder/client/bin/flowertune" submit "$SOURCE" --challenge "$CHALLENGE" --yes --json \
    ${stated[@]+"${stated[@]}"} ${watch[@]+"${watch[@]}"} ${arguments[@]+"${arguments[@]}"} >"$folder/submission.json" || status=$?
cat "$folder/submission.json"
number=$(python -c 'import json, sys; print(json.load(open(sys.argv[1])).get("id", ""))' "$folder/submission.json")
echo "submission=$number" >>"${GITHUB_OUTPUT:-/dev/null}"
exit "$status"
