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
    # compose hands the files over with their owner and mode: the images' user 1000 must be able to read them
    chmod 0444 "secrets/$name"
  fi
done
chmod 0711 secrets
echo "in infra/secrets: postgres s3 mlflow prefect flask"
