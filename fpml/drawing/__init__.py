"""All figures, in one look."""
