#!/usr/bin/env bash
# A killed `dvc exp run` leaves HEAD on no branch, the params changed, a tracked file deleted and its stage running.
#
# dvc 3.67.1 (scmrepo 3.6.2), Python 3.11.7, git 2.39.5, Linux.
# `dvc exp run` in the workspace takes HEAD off its branch while the stages run. SIGKILL (as of an out-of-memory killer)
# leaves it there, and a commit made afterwards is on no branch. The metrics file that git tracks is deleted, as DVC deletes
# outputs before a stage. The stage does not end with DVC: it writes the file later.
#
# Output seen:
#   right after the kill:
#   HEAD is on: no branch
#   params.yaml: a: 200
#   git status:  D metrics.yaml
#   git status:  M params.yaml
#   two seconds later, by the stage that goes on: metrics.yaml: a: 200
#   a commit now is on main: no
#   the next dvc exp run works, and leaves HEAD on: no branch
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
    cmd: touch started; sleep 2; cp params.yaml metrics.yaml; rm started
    params: [a]
    metrics:
      - metrics.yaml: {cache: false}
END
echo /started >>.gitignore
echo "a: 1" >params.yaml
dvc repro -q
git add -A
git commit -qm "first run"
branch() { git symbolic-ref -q --short HEAD || echo "no branch"; }

dvc exp run -q -S a=200 >/dev/null 2>&1 &
run=$!
for _ in $(seq 600); do [ -e started ] && break; sleep 0.1; done
kill -KILL "$run"
wait "$run" 2>/dev/null || true
head=$(branch)
status=$(git status --short)
echo "right after the kill:"
echo "HEAD is on: $head"
echo "params.yaml: $(cat params.yaml)"
echo "$status" | sed 's/^/git status: /'
for _ in $(seq 100); do [ -e started ] || break; sleep 0.1; done
late=$(cat metrics.yaml)
echo "two seconds later, by the stage that goes on: metrics.yaml: $late"
git commit -qam "later work"
if git merge-base --is-ancestor HEAD main; then on_main=yes; else on_main=no; fi
echo "a commit now is on main: $on_main"
dvc exp run -q -S a=3 >/dev/null 2>&1
echo "the next dvc exp run works, and leaves HEAD on: $(branch)"

[ "$head" = "no branch" ] || changed "HEAD is on $head"
[ "$status" = " D metrics.yaml
 M params.yaml" ] || changed "git status is another"
[ "$late" = "a: 200" ] || changed "the stage ended with DVC"
[ "$on_main" = no ] || changed "the commit is on main"
[ "$(branch)" = "no branch" ] || changed "the next run puts HEAD back"
