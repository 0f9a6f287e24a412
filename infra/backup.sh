#!/usr/bin/env bash
# A backup of the services' databases and objects into a new folder: bash infra/backup.sh DIR
# Reads PGHOST, PGPORT, PGUSER, PGPASSWORD (or PGPASSFILE) and the AWS_ variables of the S3 server from the environment.
# Nothing needs to stop: each database is dumped as it was at one moment; objects are written once and never changed.
set -euo pipefail
target=${1:?usage: infra/backup.sh DIR}
if [ -e "$target" ]; then echo "$target is there already; name a new folder" >&2; exit 2; fi
umask 077
part="$target.part"
rm -rf "$part"
mkdir -p "$part/objects"
for database in mlflow mlflow_users prefect; do
  pg_dump --format=custom --file="$part/$database.dump" "$database"
done
# After the databases: what they name is there by now.
export NO_PROXY="s3${NO_PROXY:+,$NO_PROXY}" no_proxy="s3${no_proxy:+,$no_proxy}" # a service's name lies behind no proxy
export RCLONE_CONFIG=/dev/null RCLONE_S3_PROVIDER=Rclone RCLONE_S3_ENV_AUTH=true RCLONE_S3_ENDPOINT="$AWS_ENDPOINT_URL"
for bucket in mlflow dvc; do
  mkdir "$part/objects/$bucket"
  rclone sync --checksum ":s3:$bucket" "$part/objects/$bucket"
done
mv "$part" "$target"
