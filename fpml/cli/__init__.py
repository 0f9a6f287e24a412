"""The commands: read, call, write, print."""
