"""table.py RESULT.json: the stages of a finished run and their metrics."""
import json
import sys

with open(sys.argv[1]) as file:
    result = json.load(file)
rows = [("stage", "metric", "value")]
for stage, found in result["stages"].items():
    for metric, value in found.get("metrics", {}).items():
        rows.append((stage, metric, f"{value:.4f}" if isinstance(value, float) else str(value)))
widths = [max(len(row[column]) for row in rows) for column in range(3)]
for row in rows:
    print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
