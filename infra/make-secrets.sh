#!/bin/sh
# Passwords for the services, once: infra/secrets/ (not in git). For Kubernetes:
#   kubectl -n fpml create secret generic fpml-secrets --from-file=infra/secrets
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
for name in postgres s3 mlflow prefect flask; do
  if [ ! -e "secrets/$name" ]; then
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' > "secrets/$name"
    # compose hands a file over with its mode, and the images' user 1000 must be able to read it; the folder keeps others out
    chmod 0444 "secrets/$name"
  fi
done
chmod 0700 secrets
mkdir -p backups # compose's back-ups; the images' user 1000 writes them
chmod 0700 backups
if [ "$(id -u)" = 0 ]; then chown 1000:1000 backups; fi
echo "in infra/secrets: postgres s3 mlflow prefect flask"
