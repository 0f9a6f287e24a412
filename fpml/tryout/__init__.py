"""The page of `fpml try`: models and the generator tried by hand, in a browser on this machine, with nothing kept on disk."""
