#!/usr/bin/env bash
# `dvc exp apply` takes uncommitted edits of unrelated files away, without a word. They lie in refs/exps/apply/stash.
#
# dvc 3.67.1 (scmrepo 3.6.2), Python 3.11.7, git 2.39.5, Linux.
# notes.md has nothing to do with the experiment. After `dvc exp apply` its edit is gone, the status is 0, and `git stash list` is
# empty. The edit can be had back from refs/exps/apply/stash, until the next `dvc exp apply` puts something else there.
#
# Output seen:
#   git status before:  M notes.md
#   dvc exp apply says: Changes for experiment 'e1' have been applied to your current workspace.
#   git status after:   M dvc.lock  M params.yaml
#   git stash list:    (nothing)
#   refs/exps/apply/stash has notes.md with: an hour of work
#   after one more dvc exp apply it has notes.md with: as committed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1 scmrepo==3.6.2
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
    cmd: cp params.yaml model.txt
    params: [a]
    outs: [model.txt]
END
echo "a: 1" >params.yaml
echo "as committed" >notes.md
dvc repro -q
git add -A
git commit -qm "a: 1"
dvc exp run -q -n e1 -S a=2
git checkout -q .
dvc checkout -q

echo "an hour of work" >notes.md
before=$(git status --short)
said=$(dvc exp apply e1 2>&1)
after=$(git status --short | tr '\n' ' ')
stash=$(git stash list)
kept=$(git show refs/exps/apply/stash:notes.md)
dvc exp apply -q e1
later=$(git show refs/exps/apply/stash:notes.md 2>/dev/null || echo "nothing: no such ref")

echo "git status before: $before"
echo "dvc exp apply says: $said"
echo "git status after:  $after"
echo "git stash list:    ${stash:-(nothing)}"
echo "refs/exps/apply/stash has notes.md with: $kept"
echo "after one more dvc exp apply it has notes.md with: $later"
[ "$after" = " M dvc.lock  M params.yaml " ] || changed "git status is another"
[ "$(cat notes.md)" = "as committed" ] || changed "the edit is kept"
[ -z "$stash" ] || changed "git knows of the stash"
[ "$kept" = "an hour of work" ] || changed "the edit lies elsewhere"
[ "$later" != "an hour of work" ] || changed "the edit outlives the next apply"
