"""``python -m bl_steer`` is ``bl-steer``."""

import sys

from bl_steer.cli import main

if __name__ == "__main__":
    sys.exit(main())
