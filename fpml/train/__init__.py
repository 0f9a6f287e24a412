"""Training: stage.py is the wiring, one readable loop a task beside it."""
