"""Raw files to prepared arrays: ingest, prepare, split. Imports neither torch nor mlflow."""
