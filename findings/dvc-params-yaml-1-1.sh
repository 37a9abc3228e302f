#!/usr/bin/env bash
# `dvc exp run -S lr=0.00001` writes `lr: 1e-05`, which PyYAML reads as a string. DVC and PyYAML read YAML differently.
#
# dvc 3.67.1, ruamel.yaml 0.19.1, PyYAML 6.0.3, Python 3.11.7, Linux.
# DVC follows YAML 1.2, PyYAML follows YAML 1.1, where a float with an exponent needs a point. However the small number is
# typed, DVC writes it without a point. A stage that reads params.yaml with PyYAML then gets text in place of a number.
# `010` and `no` are other values as well, so DVC compares one value and the stage computes with another.
#
# Output seen:
#   typed 1e-5: params.yaml has lr: 1e-05
#   typed 0.00001: params.yaml has lr: 1e-05
#   typed 1.0e-5: params.yaml has lr: 1e-05
#   params.yaml   DVC     PyYAML
#   lr: 1e-05     1e-05   '1e-05'
#   size: 010     10      8
#   flip: no      'no'    False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq dvc==3.67.1 ruamel.yaml==0.19.1 pyyaml==6.0.3
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
    params: [lr]
    outs: [seen.yaml]
END
echo "lr: 0.1" >params.yaml
git add -A
git commit -qm "first"
for typed in 1e-5 0.00001 1.0e-5; do
    git checkout -q params.yaml
    dvc exp run -q --force -S "lr=$typed" 2>/dev/null
    echo "typed $typed: params.yaml has $(cat params.yaml)"
    [ "$(cat params.yaml)" = "lr: 1e-05" ] || changed "params.yaml has another text"
done
printf 'size: 010\nflip: no\n' >>params.yaml
python - <<'END'
from dvc.utils.serialize import load_yaml
import yaml

texts = open("params.yaml").read().splitlines()
ours, theirs = load_yaml("params.yaml"), yaml.safe_load(open("params.yaml"))
print("params.yaml   DVC     PyYAML")
for text, key in zip(texts, ours):
    print(f"{text:13} {ours[key]!r:7} {theirs[key]!r}")
if ours != {"lr": 1e-05, "size": 10, "flip": "no"} or theirs != {"lr": "1e-05", "size": 8, "flip": False}:
    raise SystemExit("changed: the values read are others")
END
