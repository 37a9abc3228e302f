#!/usr/bin/env bash
# One uncached or persistent output switches DVC's run cache off for its stage. An uncached metrics or plots file does not.
#
# dvc 3.67.1, Python 3.11.7, git 2.39.5, Linux.
# A stage runs with lr 1, then with lr 2, then with lr 1 again. DVC remembers the first run and normally brings its
# outputs back: two runs in all. With `persist: true`, or with `cache: false` under `outs:`, it runs a third time.
# The same `cache: false` under `metrics:` or `plots:` does no harm. DVC does not say that it has nothing to bring back.
#
# Output seen:
#   runs for lr 1, lr 2, lr 1
#   2  outs: a cached file
#   3  outs: with persist: true
#   3  outs: with cache: false
#   2  metrics: with cache: false
#   2  plots: with cache: false
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
echo "runs for lr 1, lr 2, lr 1"
try() { # the key in dvc.yaml, the entry of the second file, the runs expected, words for it
    rm -rf dvc.yaml dvc.lock .dvc/cache model.txt second.txt runs
    cat >dvc.yaml <<END
stages:
  train:
    cmd: echo >>runs; cp params.yaml second.txt; echo model of \${lr} >model.txt
    params: [lr]
END
    if [ "$1" = outs ]; then
        printf '    outs: [model.txt, %s]\n' "$2" >>dvc.yaml
    else
        printf '    outs: [model.txt]\n    %s: [%s]\n' "$1" "$2" >>dvc.yaml
    fi
    for lr in 1 2 1; do
        echo "lr: $lr" >params.yaml
        dvc repro -q
    done
    local runs
    runs=$(wc -l <runs)
    echo "$runs  $1: $4"
    [ "$runs" = "$3" ] || changed "expected $3 runs"
}
try outs second.txt 2 "a cached file"
try outs '{second.txt: {persist: true}}' 3 "with persist: true"
try outs '{second.txt: {cache: false}}' 3 "with cache: false"
try metrics '{second.txt: {cache: false}}' 2 "with cache: false"
try plots '{second.txt: {cache: false}}' 2 "with cache: false"
