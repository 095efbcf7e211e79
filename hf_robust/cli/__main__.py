"""``python -m hf_robust.cli``: the console command `hf-robust`."""

import sys

from hf_robust.cli.main import main

sys.exit(main())
