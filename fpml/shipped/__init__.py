"""Models that come with the package: a folder each, NAME-VERSION, with its card."""
