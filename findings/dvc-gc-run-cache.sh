#!/usr/bin/env bash
# `dvc gc` deletes what the run cache needs where a metrics file is kept by git, so an earlier setting trains again.
#
# dvc 3.67.1, Python 3.11.7, git 2.39.5, Linux.
# The stage has a cached model and a metrics file with `cache: false`. DVC keeps a copy of that file in its cache too, for
# the run cache alone. `dvc gc --all-commits` keeps everything that a commit uses, but not this copy, since the metrics
# file belongs to git. The model of lr 1 stays in the cache, and yet lr 1 is trained again.
# (`--workspace` deletes more and does the same.)
#
# Output seen:
#   lr 1 again, before gc: Stage 'train' is cached - skipping run, checking out outputs
#   files in the cache: 6 before gc, 4 after
#   lr 1 again, after gc:  Running stage 'train':
#   the model of lr 1 was in the cache all the time: yes
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
  train:
    cmd: echo model of ${lr} >model.txt; cp params.yaml metrics.yaml
    params: [lr]
    outs: [model.txt]
    metrics:
      - metrics.yaml: {cache: false}
END
for lr in 1 2; do
    echo "lr: $lr" >params.yaml
    dvc repro -q
    git add -A
    git commit -qm "lr $lr"
done
count() { find .dvc/cache -type f | wc -l; }

echo "lr: 1" >params.yaml
first=$(dvc repro 2>/dev/null)
echo "lr: 2" >params.yaml
dvc repro -q
before=$(count)
dvc gc -q --force --all-commits 2>/dev/null
after=$(count)
hash=$(echo model of 1 | md5sum | cut -d' ' -f1)
if [ -e ".dvc/cache/files/md5/${hash:0:2}/${hash:2}" ]; then kept=yes; else kept=no; fi
echo "lr: 1" >params.yaml
second=$(dvc repro 2>/dev/null)

first=${first%%$'\n'*}
second=${second%%$'\n'*}
echo "lr 1 again, before gc: $first"
echo "files in the cache: $before before gc, $after after"
echo "lr 1 again, after gc:  $second"
echo "the model of lr 1 was in the cache all the time: $kept"
[ "$kept" = yes ] || changed "the model is gone too"
[ "$first" = "Stage 'train' is cached - skipping run, checking out outputs" ] || changed "no run cache before gc"
[ "$second" = "Running stage 'train':" ] || changed "gc leaves what the run cache needs"
