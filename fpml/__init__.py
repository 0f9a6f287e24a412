"""fpml: from raw fingerprint images to registered models."""

__version__ = "0.1.0"
