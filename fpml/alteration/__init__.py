"""What is done to altered prints, as SOCOFing has them: drawn, applied, and undone. numpy and SciPy alone."""
