#!/usr/bin/env bash
# The REST API with curl alone. Set KEY to a secret key, and OFFHOOK to the server if it is not this machine's:
#
#   KEY=$(offhook keys create --kind secret --name script | tail -n 1) bash docs/examples/api.sh
#
# Set ERASE to the id of a call that may go for good, to see that, too.
set -euo pipefail

OFFHOOK=${OFFHOOK:-http://localhost:8080}
AGENT=${AGENT:-front-desk}
: "${KEY:?Set KEY to a secret key: offhook keys create --kind secret --name script}"

# curl that shows the problem document when a request fails.
api() {
    local method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --request "$method" "$OFFHOOK$path" \
        --header "Authorization: Bearer $KEY" --header "Content-Type: application/json" "$@"
    echo
}

# The first value of a field of JSON on stdin, for strings without quotes in them.
field() {
    sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p" | head -n 1
}

echo "# The workspace, and how many calls it has"
api GET /v1/workspace

echo "# An agent: its first version, a draft, and what serves once it is published"
id="example-$(date +%s)-$$"
api POST /v1/agents --data "{\"text\": \"id = '$id'\nname = 'Example'\n[brain]\nkind = 'echo'\n\"}"
api POST "/v1/agents/$id/publish"

echo "# A session for one visitor. Hand the answer to the visitor's page; the same Idempotency-Key starts no second one"
once="start-$(date +%s)-$$"
api POST /voice/start --header "Idempotency-Key: $once" \
    --data "{\"agent_id\": \"$AGENT\", \"context\": {\"name\": \"Ann\"}}"

echo "# The last calls, newest first"
calls=$(api GET "/v1/calls?limit=1")
echo "$calls"

call=$(field id <<<"${calls#*\"calls\":}")
if [ -n "$call" ]; then
    echo "# One call, with its states and its transcript"
    api GET "/v1/calls/$call"
fi

echo "# All calls of the last hour with their transcripts: a line of JSON for each; format=csv for a spreadsheet"
api GET "/v1/calls/export?format=jsonl&since=$(($(date +%s) - 3600))"

if [ -n "${ERASE:-}" ]; then
    echo "# A call erased: its record is gone now, its log and its recording within a minute, as done_at of the report tells"
    api DELETE "/v1/calls/$ERASE"
    api GET "/v1/erasures/$ERASE"
fi

echo "# Nobody can call the agent any more"
api DELETE "/v1/agents/$id"

echo "# A key that may read calls and nothing else, replaced, and revoked"
key=$(api POST /v1/keys --data '{"kind": "secret", "name": "reader", "scopes": ["calls:read"]}' | field id)
new=$(api POST "/v1/keys/$key/rotate" --data '{"overlap": 0}' | field id)
api POST "/v1/keys/$new/revoke"
