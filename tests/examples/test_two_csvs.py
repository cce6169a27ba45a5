"""two_csvs.py says where it wrote."""

import csv
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "two_csvs.py"


def test_it_says_where_it_wrote(tmp_path):
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert f"wrote mixtures.csv and metrics.csv (32 runs) to {tmp_path}\n" == done.stdout
    for name in ("mixtures.csv", "metrics.csv"):
        with (tmp_path / name).open() as file:
            assert len(list(csv.DictReader(file))) == 32
