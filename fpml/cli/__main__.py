"""python -m fpml.cli, as torchrun starts it."""

import sys

from fpml.cli.main import main

sys.exit(main())
