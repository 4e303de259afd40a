#!/usr/bin/env bash
# Airflow for one machine, as `airflow standalone` but on loopback alone: that one serves logs on every address.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
set -a
AIRFLOW_HOME=${AIRFLOW_HOME:-$root/.airflow}
AIRFLOW__CORE__DAGS_FOLDER=$root/airflow/dags
. "$root/airflow/laptop.env"
PATH=$root/.venv/bin:$PATH
set +a
airflow db migrate
airflow pools import "$root/airflow/pools.json"

# Ctrl-C reaches this script alone. The scheduler ends first, once its tasks have: they tell the API server how they did.
# A second Ctrl-C waits for no task.
set -m
stop() {
    trap 'kill -KILL -- "-$scheduler" 2>/dev/null || true' INT TERM
    kill "$scheduler" 2>/dev/null || true
    wait "$scheduler" || true
    kill "${others[@]}" 2>/dev/null || true
    wait
}
others=()
airflow scheduler --skip-serve-logs & scheduler=$!
for part in dag-processor api-server; do
    airflow "$part" & others+=($!)
done
trap stop EXIT
trap 'exit 130' INT TERM
echo "Airflow: $AIRFLOW__API__BASE_URL, user admin, password in $AIRFLOW_HOME/simple_auth_manager_passwords.json.generated. Stop: Ctrl-C"
wait -n
