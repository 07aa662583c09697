"""Everything that must be clean, in one command: style, types, layers, tests. Arguments go to pytest.

Each check runs even if one before it failed; the exit status is 1 if any did.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

CHECKS = {
    "ruff check": [BIN / "ruff", "check", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "."],
    "mypy --strict": [BIN / "mypy"],
    "import-linter": [BIN / "lint-imports"],
    "pytest": [sys.executable, "-m", "pytest", "-q", "-m", "not long", *sys.argv[1:]],
}


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
