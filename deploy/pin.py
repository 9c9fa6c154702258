"""Write requirements with hashes from what pip would install: ``pip install --report`` made it.

    python deploy/pin.py REPORT.json > requirements.txt
    pip install --require-hashes --no-deps -r requirements.txt

``make hashes`` does the first for the analysis server at the versions of constraints.txt. The
hashes are of the files for this Python on this kind of machine; make them on one of its kind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def lines_of(report: dict[str, Any]) -> list[str]:
    """Return a line for each package from an index; what comes from a folder has no hash."""
    lines = []
    for item in report["install"]:
        about, where = item["metadata"], item["download_info"]
        if "archive_info" in where:
            sha256 = where["archive_info"]["hashes"]["sha256"]
            lines.append(f"{about['name'].lower()}=={about['version']} --hash=sha256:{sha256}")
    return sorted(lines)


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{line}\n" for line in lines_of(json.loads(Path(sys.argv[1]).read_text()))
    )
