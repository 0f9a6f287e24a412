"""The sections of params.yaml as frozen dataclasses without defaults."""
