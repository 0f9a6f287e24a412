#!/bin/sh
# One service with its secrets: infra/run-service.sh s3|mlflow|prefect|worker|deploy|run COMMAND...
# The same script starts it in a container, in Kubernetes and as a plain process (infra/local). Secrets are files, readable by
# its user only; what they hold must be safe in an address (letters, digits, - and _). It reads:
#   FPML_SECRETS   folder with postgres, s3, mlflow, prefect, flask (default /run/secrets)
#   FPML_LISTEN, FPML_PORT   where it listens            FPML_POSTGRES   host:port of the database
#   FPML_S3, FPML_MLFLOW, FPML_PREFECT   addresses        FPML_STATE_DIR  a folder of its own
set -eu
umask 077
what=$1
secret() { cat "${FPML_SECRETS:-/run/secrets}/$1"; }
database() { echo "$1://fpml:$(secret postgres)@$FPML_POSTGRES/$2"; }
s3_keys() {
  export AWS_ENDPOINT_URL="$FPML_S3" AWS_ACCESS_KEY_ID=fpml-access-key AWS_DEFAULT_REGION=us-east-1
  AWS_SECRET_ACCESS_KEY=$(secret s3)
  export AWS_SECRET_ACCESS_KEY
}
prefect_client() {
  export PREFECT_API_URL="$FPML_PREFECT/api" PREFECT_HOME="$FPML_STATE_DIR"
  PREFECT_API_AUTH_STRING="fpml:$(secret prefect)"
  export PREFECT_API_AUTH_STRING
}
own_home() { # for a user who has none, as a container's may be; and a name
  if [ ! -d "${HOME:-}" ] || [ ! -w "$HOME" ]; then export HOME="$FPML_STATE_DIR"; fi
  id -un > /dev/null 2>&1 || export LOGNAME="$(id -u)"
}
case "${no_proxy:-},${NO_PROXY:-}" in # this machine and the services' own names are reached past every proxy
*'*'*) NO_PROXY='*' ;;
*) NO_PROXY="localhost,127.0.0.1,::1,s3,mlflow,prefect${no_proxy:+,$no_proxy}${NO_PROXY:+,$NO_PROXY}" ;;
esac
export NO_PROXY no_proxy="$NO_PROXY"
export PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 # by which the server sees that a run died
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true DVC_NO_ANALYTICS=1

case $what in
s3)
  mkdir -p "$FPML_STATE_DIR/mlflow" "$FPML_STATE_DIR/dvc" # the buckets
  RCLONE_AUTH_KEY="\"fpml-access-key,$(secret s3)\"" # in the environment: other users see the command line
  export RCLONE_AUTH_KEY RCLONE_CONFIG=/dev/null
  exec rclone serve s3 --addr "$FPML_LISTEN:$FPML_PORT" "$FPML_STATE_DIR"
  ;;
mlflow)
  own_home
  s3_keys
  MLFLOW_BACKEND_STORE_URI=$(database postgresql mlflow)
  MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret flask)
  export MLFLOW_BACKEND_STORE_URI MLFLOW_FLASK_SERVER_SECRET_KEY
  export MLFLOW_ARTIFACTS_DESTINATION=s3://mlflow MLFLOW_AUTH_CONFIG_PATH="$FPML_STATE_DIR/users.ini"
  export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false
  # To check a password takes a tenth of a second of a core, on purpose; one that was right is known for a minute.
  cat > "$MLFLOW_AUTH_CONFIG_PATH" <<INI
[mlflow]
default_permission = READ
database_uri = $(database postgresql mlflow_users)
admin_username = fpml
admin_password = $(secret mlflow)
auth_cache_ttl_seconds = 60
INI
  exec python -m mlflow server --app-name basic-auth --host "$FPML_LISTEN" --port "$FPML_PORT" --workers 1 --serve-artifacts
  ;;
prefect)
  own_home
  PREFECT_API_DATABASE_CONNECTION_URL=$(database postgresql+asyncpg prefect)
  PREFECT_SERVER_API_AUTH_STRING="fpml:$(secret prefect)"
  export PREFECT_API_DATABASE_CONNECTION_URL PREFECT_SERVER_API_AUTH_STRING PREFECT_HOME="$FPML_STATE_DIR"
  export PREFECT_UI_STATIC_DIRECTORY="$FPML_STATE_DIR/ui" # its pages are copied there, since the image can't be written to
  # Its newer pages ask a host of their makers for what to count; the older ones ask nobody, and show all of a run too.
  export PREFECT_SERVER_UI_V2_ENABLED=false PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT=false
  export PREFECT_API_URL="$FPML_PREFECT/api" PREFECT_UI_API_URL="$FPML_PREFECT/api"
  exec python -m prefect server start --host "$FPML_LISTEN" --port "$FPML_PORT"
  ;;
worker | deploy | run)
  own_home
  s3_keys
  prefect_client
  MLFLOW_TRACKING_PASSWORD=$(secret mlflow)
  export PYTHONPATH="$FPML_PROJECT" # the code that DVC records is the project's, not the image's
  export MLFLOW_TRACKING_PASSWORD MLFLOW_TRACKING_USERNAME=fpml MLFLOW_TRACKING_URI="$FPML_MLFLOW"
  if [ "$what" = deploy ]; then exec python -m flows.deploy --project "$FPML_PROJECT" --pool-type "$FPML_POOL_TYPE"; fi
  if [ "$what" = run ]; then
    shift
    exec "$@" # a job of the worker, in a container of its own
  fi
  exec python -m prefect worker start --pool fpml --type "$FPML_POOL_TYPE" --name "$FPML_WORKER"
  ;;
*)
  echo "usage: infra/run-service.sh s3|mlflow|prefect|worker|deploy|run" >&2
  exit 2
  ;;
esac
