"""What `fpml train` and `fpml evaluate` do round a task: lock, checkpoints, run, outputs."""
