"""A project as a whole: all of params.yaml with the checks between its keys, presets, and what names a run."""
