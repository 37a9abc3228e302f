#!/usr/bin/env bash
# DVC's template `confusion_normalized` divides by the sums of the y column: with y: predicted it shows precision, not recall.
#
# dvc 3.67.1 (dvc-render 1.0.2), Python 3.11.7, Linux.
# The name does not say what is divided by what. DVC's own examples put the actual class on x and the predicted one on y. Then a
# cell is a share of what was predicted as that class. For the usual shares of each actual class, x has to be the predicted one.
#
# Output seen (three of four images of class a, and the one of class b, are right):
#   x: actual,    y: predicted   divides by the sum of each: predicted   cell (a, a): 1.00
#   x: predicted, y: actual      divides by the sum of each: actual      cell (a, a): 0.75
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1 dvc-render==1.0.2
# The settings of the user and of a calling git hook must not matter.
unset XDG_CONFIG_HOME GIT_CONFIG_GLOBAL GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
export PATH="$folder/venv/bin:$PATH" HOME="$folder" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
git config --global user.name Someone
git config --global user.email someone@example.com
dvc config --global core.check_update false
changed() { echo "changed: $1"; exit 1; }
echo "DVC $(dvc --version), $(python --version), $(git --version)"

git init -q -b main "$folder/repo"
cd "$folder/repo"
dvc init -q
printf 'actual,predicted\na,a\na,a\na,a\na,b\nb,b\n' >classes.csv
cat >shares.py <<'END'
"""Follow the chart's own list of transforms: by which column is a cell's count divided, and what comes out for (a, a)?"""
import csv
import json
import sys

x, y, wanted_column, wanted_share = sys.argv[1:]
chart = json.load(sys.stdin)["data"]["classes.csv"][0]["content"]
chart = json.loads(chart) if isinstance(chart, str) else chart
[column] = next(step["groupby"] for step in chart["spec"]["transform"] if "joinaggregate" in step)
rows = list(csv.DictReader(open("classes.csv")))
both = sum(row["actual"] == row["predicted"] == "a" for row in rows)
share = f"{both / sum(row[column] == 'a' for row in rows):.2f}"
print(f"x: {x + ',':10} y: {y:9}   divides by the sum of each: {column:9}   cell (a, a): {share}")
if (column, share) != (wanted_column, wanted_share):
    raise SystemExit(f"changed: expected {wanted_column}, {wanted_share}")
END
show() { dvc plots show --json classes.csv --template confusion_normalized -x "$1" -y "$2"; }
show actual predicted | python shares.py actual predicted predicted 1.00
show predicted actual | python shares.py predicted actual actual 0.75
