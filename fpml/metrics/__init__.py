"""Pure functions of arrays: how good, with shapes and sources."""
