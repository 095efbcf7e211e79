"""Print the set-up commands of README.md, one a line: the lines of its first ```bash block."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def setup_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for line in blocks[0].splitlines() if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    import sys

    sys.stdout.write("\n".join(setup_commands()) + "\n")
