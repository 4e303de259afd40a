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
parts=()
trap 'kill "${parts[@]}" 2>/dev/null || true; wait' EXIT
for part in "scheduler --skip-serve-logs" dag-processor api-server; do
    # shellcheck disable=SC2086
    airflow $part & parts+=($!)
done
echo "Airflow: $AIRFLOW__API__BASE_URL, user admin, password in $AIRFLOW_HOME/simple_auth_manager_passwords.json.generated. Stop: Ctrl-C"
wait -n
