#!/usr/bin/env bash
# DVC records the hash of a dependency after the command has run, not before.
#
# dvc 3.67.1, Python 3.11.7, git 2.39.5, Linux.
# A file that is edited while a stage runs goes into dvc.lock with its new hash, although the stage read the old content.
# DVC then calls an output up to date that was never made from what dvc.lock names. There is no warning.
#
# Output seen:
#   the stage read:                   first
#   in.txt after the run:             second
#   out.txt, made from in.txt:        first
#   in.txt in dvc.lock has the hash of: second
#   dvc status: Data and pipelines are up to date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1 dvc-data==3.18.3 dvc-objects==5.2.0
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
  copy:
    cmd: bash copy.sh
    deps: [in.txt]
    outs: [out.txt]
END
# A stage that has read its input and has some work left: it waits for the edit, ten seconds at most.
cat >copy.sh <<'END'
cp in.txt out.txt
touch has-read
for _ in $(seq 100); do [ -e has-edited ] && break; sleep 0.1; done
END
echo first >in.txt

dvc repro -q &
run=$!
for _ in $(seq 600); do [ -e has-read ] && break; sleep 0.1; done
echo second >in.txt
touch has-edited
wait "$run"

recorded=$(sed -n '/path: in.txt/,/size/s/ *md5: //p' dvc.lock)
name=neither
for content in first second; do
    if [ "$recorded" = "$(echo $content | md5sum | cut -d' ' -f1)" ]; then name=$content; fi
done
status=$(dvc status)
echo "the stage read:                   first"
echo "in.txt after the run:             $(cat in.txt)"
echo "out.txt, made from in.txt:        $(cat out.txt)"
echo "in.txt in dvc.lock has the hash of: $name"
echo "dvc status: $status"
[ "$(cat out.txt)" = first ] || changed "the stage did not read the first content"
[ "$name" = second ] || changed "dvc.lock has the hash of the $name content"
[ "$status" = "Data and pipelines are up to date." ] || changed "dvc status sees it"
