#!/usr/bin/env bash
# `dvc exp pull` in a shallow clone of a local repository removes .git/shallow, and git cannot read its own history any more.
#
# dvc 3.67.1 (scmrepo 3.6.2, dulwich 1.2.21, pygit2 1.21.0), Python 3.11.7, git 2.39.5, Linux.
# A clone with `--depth 1` notes in .git/shallow where its history ends. After `dvc exp pull` from a path or a file:// address
# the note is gone and the older commits are still missing, so `git log` ends with an error. The command itself says that it
# worked. The line that was in .git/shallow, put back, mends the clone.
#
# Output seen:
#   before: .git/shallow is there, git log: 1 commit
#   dvc exp pull says: Pulled experiment '['e1']' from Git remote 'origin'.
#   after:  .git/shallow is gone, git log fails: yes
#   .git/shallow put back: git log: 1 commit
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1 scmrepo==3.6.2 dulwich==1.2.21 pygit2==1.21.0
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
    cmd: cp params.yaml metrics.yaml
    params: [a]
    metrics:
      - metrics.yaml: {cache: false}
END
echo "a: 1" >params.yaml
dvc repro -q
git add -A
git commit -qm "first"
git commit -q --allow-empty -m "second"
dvc exp run -q -n e1 -S a=2
git clone -q --depth 1 "file://$folder/repo" "$folder/clone"
cd "$folder/clone"

shallow=$(cat .git/shallow)
echo "before: .git/shallow is there, git log: $(git log --oneline | wc -l) commit"
echo "dvc exp pull says: $(dvc exp pull origin e1 2>&1)"
if [ -e .git/shallow ]; then note="is there"; else note="is gone"; fi
if git log >/dev/null 2>&1; then fails=no; else fails=yes; fi
echo "after:  .git/shallow $note, git log fails: $fails"
echo "$shallow" >.git/shallow
echo ".git/shallow put back: git log: $(git log --oneline | wc -l) commit"
[ "$note" = "is gone" ] || changed ".git/shallow is kept"
[ "$fails" = yes ] || changed "git log works"
