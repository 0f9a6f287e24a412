#!/usr/bin/env bash
# Put a backup of infra/backup.sh in the place of what is there: bash infra/restore.sh DIR
# MLflow, Prefect and the workers must be down, PostgreSQL and the S3 server up. Reads the same variables as backup.sh.
set -euo pipefail
source=${1:?usage: infra/restore.sh DIR}
for database in mlflow mlflow_users prefect; do
  test -s "$source/$database.dump" || { echo "$source/$database.dump is not there: no whole backup" >&2; exit 2; }
done
export NO_PROXY="s3${NO_PROXY:+,$NO_PROXY}" no_proxy="s3${no_proxy:+,$no_proxy}" # a service's name lies behind no proxy
export RCLONE_CONFIG=/dev/null RCLONE_S3_PROVIDER=Rclone RCLONE_S3_ENV_AUTH=true RCLONE_S3_ENDPOINT="$AWS_ENDPOINT_URL"
for bucket in mlflow dvc; do
  rclone sync --checksum "$source/objects/$bucket" ":s3:$bucket"
done
for database in mlflow mlflow_users prefect; do
  psql --quiet --dbname=postgres --command="DROP DATABASE IF EXISTS \"$database\" WITH (FORCE)" --command="CREATE DATABASE \"$database\""
  pg_restore --exit-on-error --no-owner --dbname="$database" "$source/$database.dump"
done
