"""Raw files to prepared arrays: ingest, prepare, split."""
