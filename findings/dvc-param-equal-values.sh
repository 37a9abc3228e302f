#!/usr/bin/env bash
# DVC compares params as Python does: `1` edited to `true` or `1.0` is up to date, and a NaN has always changed.
#
# dvc 3.67.1, Python 3.11.7, Linux.
# In Python 1 == True == 1.0, and NaN != NaN. So `dvc repro` keeps the result of `1` when params.yaml now says `true`, although
# the stage would see another value, and `dvc params diff` shows nothing. With a NaN the stage is out of date right after it ran.
#
# Output seen:
#   a: 1 -> a: true   status: Data and pipelines are up to date.   the stage saw: a: 1   params diff: (nothing)
#   a: 1 -> a: 1.0    status: Data and pipelines are up to date.   the stage saw: a: 1   params diff: (nothing)
#   a: .nan, just run   status says modified: a
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1
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
cat >dvc.yaml <<'END'
stages:
  train:
    cmd: cp params.yaml seen.yaml
    params: [a]
    outs: [seen.yaml]
END
echo "a: 1" >params.yaml
dvc repro -q
git add -A
git commit -qm "a: 1"
for value in true 1.0; do
    echo "a: $value" >params.yaml
    status=$(dvc status)
    dvc repro -q
    difference=$(dvc params diff)
    echo "a: 1 -> $(printf %-9s "a: $value") status: $status   the stage saw: $(cat seen.yaml)   params diff: ${difference:-(nothing)}"
    [ "$status" = "Data and pipelines are up to date." ] || changed "dvc status sees $value"
    [ "$(cat seen.yaml)" = "a: 1" ] || changed "the stage ran again"
    [ -z "$difference" ] || changed "dvc params diff sees $value"
done
echo "a: .nan" >params.yaml
dvc repro -q
modified=$(dvc status | grep -c 'modified: *a$' || true)
if [ "$modified" = 1 ]; then echo "a: .nan, just run   status says modified: a"; fi
[ "$modified" = 1 ] || changed "a NaN is up to date after its run"
