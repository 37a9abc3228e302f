#!/usr/bin/env bash
# Where git changes line ends, as git for Windows is set up to, a fresh clone makes DVC run every stage again.
#
# Versions: DVC 3.67.1; git 2.
# Behaviour: DVC 3 hashes the bytes of a text file as they lie there. git with core.autocrlf=true writes CRLF into the clone, and calls
#   the clone clean. dvc.lock then fits no script and no metrics file that git keeps.
# Best guess: DVC agrees with git that nothing has changed, as it stands on git for these files.
# Seen: git finds 0 files changed, DVC all four that are text, so that each stage runs again.
#   DVC 3.67.1, plain clone: git finds 0 changed, DVC finds 0
#   DVC 3.67.1, clone with CRLF: git finds 0 changed, DVC finds 4: labels.csv train.py evaluate.py metrics.json
#   DVC 3.67.1, clone with CRLF, `* -text` in .gitattributes: git finds 0 changed, DVC finds 0
# So a colleague's clone trains for hours what the shared cache has, and commits another dvc.lock, which is stale on Linux.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export DVC_NO_ANALYTICS=1 GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
python3 -m venv venv
venv/bin/pip install -qq dvc==3.67.1
export PATH="$work/venv/bin:$PATH"
mkdir repo
cd repo
git init -q
git config user.name nobody
git config user.email nobody@example.org
dvc init -q
printf 'path,label\na.jpg,cat\nb.jpg,dog\n' > labels.csv
printf 'open("model.txt", "w").write("weights")\n' > train.py
printf 'import json\n\njson.dump({"accuracy": 0.5}, open("metrics.json", "w"), indent=1)\n' > evaluate.py
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: python train.py
    deps: [labels.csv, train.py]
    outs: [model.txt]
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, model.txt]
    metrics: [metrics.json: {cache: false}]
YAML
dvc repro -q
git add -A
git commit -qm first
cd ..

look() { # name of the clone, what it is, options of git clone
    git clone -q "${@:3}" repo "$1"
    (
        cd "$1"
        dvc cache dir --local "$work/repo/.dvc/cache"
        dvc checkout -q
        local by_git by_dvc
        by_git=$(git status --porcelain | wc -l)
        by_dvc=$(dvc status | sed -n 's/^\t\t[a-z]*: *//p' | tr '\n' ' ')
        echo "DVC $(dvc --version), $2: git finds $by_git changed, DVC finds $(wc -w <<< "$by_dvc")${by_dvc:+: }${by_dvc% }"
    )
}

{
    look plain "plain clone"
    look windows "clone with CRLF" -c core.autocrlf=true
    echo '* -text' > repo/.gitattributes
    git -C repo add -A
    git -C repo commit -qm attributes
    look kept "clone with CRLF, \`* -text\` in .gitattributes" -c core.autocrlf=true
} | tee seen
echo "guess: DVC finds 0 each time, as git does"
counts=$(sed -n 's/.*DVC finds \([0-9]*\).*/\1/p' seen | tr '\n' ' ')
if [ "$counts" != "0 4 0 " ]; then
    echo "changed: another number of files"
    exit 1
fi
