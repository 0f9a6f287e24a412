"""Minutiae against minutiae, in numpy alone: templates and their files, cylinder codes, comparison, search."""
