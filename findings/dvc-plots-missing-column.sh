#!/usr/bin/env bash
# A plot with a column that an old revision lacks loses all curves of that revision, also those that it has.
#
# dvc 3.67.1 (dvc-render 1.0.2), Python 3.11.7, git 2.39.5, Linux.
# The chart names two columns, `loss` and `val_loss`. The older commit has `loss` alone. In `dvc plots diff` nothing of the
# older commit is drawn: not even `loss`, which was to be compared. One line of warning goes to stderr, and the status is 0.
# With an empty cell in that column, or with a chart for each column, `loss` is there for both.
#
# Output seen:
#   one chart, val_loss lacks in old:        new loss, new val_loss
#   one chart, val_loss has empty cells:     new loss, new val_loss, old loss, old val_loss
#   a chart for each column:                 new loss, new val_loss, old loss
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
"""Which columns of which revision are in the charts?"""
import json
import sys

curves = set()
for charts in json.load(sys.stdin)["data"].values():
    for chart in charts:
        content = json.loads(chart["content"]) if isinstance(chart["content"], str) else chart["content"]
        axis = content["layer"][0]["encoding"]["y"]["field"]
        for row in content["data"]["values"]:
            curves.add(f"{row['rev']} {row.get('field', axis)}")
print(", ".join(sorted(curves)))
END
try() { # words, the curves expected, the two lines of the old table, the plots in dvc.yaml
    printf 'plots:\n%s\n' "$4" >dvc.yaml
    printf "$3" >history.csv
    git add -A
    git commit -qm "old" --allow-empty
    git tag -f old >/dev/null
    printf 'epoch,loss,val_loss\n0,0.9,1.0\n' >history.csv
    git commit -qam "new" --allow-empty
    git tag -f new >/dev/null
    curves=$(dvc plots diff old new --json 2>/dev/null | python curves.py)
    printf '%-40s %s\n' "$1" "$curves"
    [ "$curves" = "$2" ] || changed "expected $2"
}
together='  - history.csv: {x: epoch, y: [loss, val_loss]}'
apart='  - loss: {x: epoch, y: {history.csv: loss}}
  - val_loss: {x: epoch, y: {history.csv: val_loss}}'
lacking='epoch,loss\n0,1.1\n'
empty='epoch,loss,val_loss\n0,1.1,\n'
try "one chart, val_loss lacks in old:" "new loss, new val_loss" "$lacking" "$together"
try "one chart, val_loss has empty cells:" "new loss, new val_loss, old loss, old val_loss" "$empty" "$together"
try "a chart for each column:" "new loss, new val_loss, old loss" "$lacking" "$apart"
