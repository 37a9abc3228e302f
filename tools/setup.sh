# Set-up behind the Makefile: .venv, the pinned packages, a git repository. What is in place already costs some milliseconds.
#   sh tools/setup.sh run           what the pipeline needs
#   sh tools/setup.sh KIND          the same, and requirements-KIND.txt: tensorboard, export, search, mlflow, parquet, s3, ssh, dev (most)
#   sh tools/setup.sh share         the same, for the kinds of remote that .dvc/config and .dvc/config.local name
#   sh tools/setup.sh python        print the path of a Python that .venv can be made with
set -eu
export PIP_USER=0 # a `user = true` in a person's pip settings cannot work inside .venv
VENV_PYTHON=.venv/bin/python
UV=uv==0.13.9

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# The pins have wheels for these Pythons. Prints `ok` and the interpreter's own path, or what is wrong with it.
PROBE='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    print("is Python %d.%d.%d" % sys.version_info[:3])
else:
    try:
        import ensurepip, venv
        print("ok " + sys.executable)
    except ImportError:
        print("lacks its venv module (on Debian or Ubuntu: apt install python%d.%d-venv)" % sys.version_info[:2])
'

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11
    fi
    rejected=
    for candidate; do
        verdict=$("$candidate" -c "$PROBE" 2>/dev/null) || continue
        case $verdict in
            ok\ *) echo "${verdict#ok }"; return ;;
            *) rejected="$rejected${rejected:+, }$candidate $verdict" ;;
        esac
    done
    fail "needs a Python from 3.11 to 3.14 with its venv module, got ${rejected:-no working $*};" \
        "install one, or name it: make setup PYTHON=/path/to/python3.13"
}

# A killed first try leaves a .venv without pip, or with half of it; `uv venv` makes one without. Both can be completed.
# A .venv whose Python is gone, too old or does not start is made anew.
make_venv() {
    if [ -e .venv ] || [ -L .venv ]; then
        pip_is_whole && return
        "$VENV_PYTHON" -m tools.half_installed --forget 2>/dev/null || true
        "$VENV_PYTHON" -m ensurepip >/dev/null 2>&1 || true
        pip_is_whole && return
        say ".venv is half-made, or its Python is gone; making it anew"
        rm -rf .venv
    fi
    python=$(find_python)
    say "making .venv with $python"
    "$python" -m venv .venv || fail "$python could not make .venv; see its messages above"
}

python_works() {
    "$VENV_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

pip_is_whole() {
    python_works && "$VENV_PYTHON" -m tools.half_installed pip 2>/dev/null
}

# install FILE: bring .venv to what FILE and constraints.txt say. The stamp is a copy of all requirements, so that only a change of
# their text costs anything, and so that what was killed is run again.
install() {
    stamp=.venv/.installed-$1
    cat requirements*.txt constraints.txt | cmp -s - "$stamp" && return
    rm -f "$stamp"
    make_venv
    # pip takes a package whose unpacking was cut short for installed
    "$VENV_PYTHON" -m tools.half_installed --forget
    say "installing $1 into .venv (a minute or more the first time)"
    by_uv "$1" || "$VENV_PYTHON" -m pip install --disable-pip-version-check -r "$1" ||
        fail "pip could not install $1; see its messages above; run the same command again to go on"
    cat requirements*.txt constraints.txt >"$stamp"
}

# In about a quarter of pip's time (docs/decisions/installing.md). Where uv is not to be had, or fails, pip does it.
by_uv() {
    "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --retries 1 "$UV" 2>/dev/null &&
        "$VENV_PYTHON" -m tools.uv "$1"
}

has_remote() {
    grep -qs "^ *url *= *$1://" .dvc/config .dvc/config.local
}

# DVC needs a git repository that holds these files. One around this folder that does not (a downloaded archive unpacked
# inside another project) is not it: DVC would stage our files there, and stop where it ignores them.
see_to_repository() {
    git --version >/dev/null 2>&1 || fail "needs git, got none that works; install it and run the same command again"
    if [ -e .git ] || [ -n "$(git ls-files Makefile 2>/dev/null)" ]; then
        git rev-parse --quiet --verify HEAD >/dev/null 2>&1 && return
    else
        git init --quiet
    fi
    git add --all .
    author=
    if ! git config user.name >/dev/null || ! git config user.email >/dev/null; then
        author="by \"nobody\", for git knows no name of yours"
        export GIT_AUTHOR_NAME=nobody GIT_AUTHOR_EMAIL=nobody@localhost
        export GIT_COMMITTER_NAME=nobody GIT_COMMITTER_EMAIL=nobody@localhost
    fi
    git -c commit.gpgsign=false commit --quiet --no-verify --message "Start from a downloaded copy"
    say "DVC needs a git repository and there was none: made one here, with a first commit ${author:-of yours}"
}

case ${1:-} in
    python) find_python ;;
    run | share | tensorboard | export | search | mlflow | parquet | s3 | ssh | dev)
        see_to_repository
        python_works || rm -f .venv/.installed-*
        install requirements.txt
        case $1 in
            run) ;;
            share) for kind in s3 ssh; do ! has_remote $kind || install requirements-$kind.txt; done ;;
            *) install "requirements-$1.txt" ;;
        esac
        ;;
    *) fail "needs one of: run, share, tensorboard, export, search, mlflow, parquet, s3, ssh, dev, python; got '${1:-}'" ;;
esac
