#!/usr/bin/env bash
# In `dvc plots diff` the revision named first says how a plot is drawn: a curve added to dvc.yaml since then is left out.
#
# dvc 3.67.1 (dvc-render 1.0.2), Python 3.11.7, git 2.39.5, Linux.
# Both commits have the same table with `loss` and `val_loss`. The newer commit adds `val_loss` to the plot in dvc.yaml.
# `dvc plots diff old new` draws `loss` alone, without a word; `dvc plots diff new old` draws both columns of both commits.
# Where the workspace takes part, its dvc.yaml counts. So the new curve is there before the commit, and gone after it.
#
# Output seen:
#   dvc plots diff:                HEAD loss, HEAD val_loss, workspace loss, workspace val_loss
#   dvc plots diff old:            old loss, old val_loss, workspace loss, workspace val_loss
#   dvc plots diff old new:        new loss, old loss
#   dvc plots diff new old:        new loss, new val_loss, old loss, old val_loss
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
cat >curves.py <<'END'
"""Which columns of which revision are in the chart?"""
import json
import sys

[chart] = json.load(sys.stdin)["data"]["history.csv"]
content = json.loads(chart["content"]) if isinstance(chart["content"], str) else chart["content"]
axis = content["layer"][0]["encoding"]["y"]["field"]
print(", ".join(sorted({f"{row['rev']} {row.get('field', axis)}" for row in content["data"]["values"]})))
END
printf 'epoch,loss,val_loss\n0,0.9,1.0\n' >history.csv
printf 'plots:\n  - history.csv: {x: epoch, y: [loss]}\n' >dvc.yaml
git add -A
git commit -qm "old"
git tag old
printf 'plots:\n  - history.csv: {x: epoch, y: [loss, val_loss]}\n' >dvc.yaml
try() { # what follows `dvc plots diff`, the curves expected
    local curves
    curves=$(dvc plots diff --json $1 | python curves.py)
    printf '%-30s %s\n' "dvc plots diff${1:+ $1}:" "$curves"
    [ "$curves" = "$2" ] || changed "expected $2"
}
try "" "HEAD loss, HEAD val_loss, workspace loss, workspace val_loss"
try old "old loss, old val_loss, workspace loss, workspace val_loss"
git commit -qam "new"
git tag new
try "old new" "new loss, old loss"
try "new old" "new loss, new val_loss, old loss, old val_loss"
