"""`python -m gan_lab` is the command `gan-lab`."""

import sys

from gan_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
