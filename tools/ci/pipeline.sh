# In CI: is dvc.lock about what the pull request holds? Where DVC has a default remote, `dvc repro` also makes what is stale, so
# that the review is about real results. Exit status 1 when the committed results are not those of the committed inputs.
#   FROM_FORK=true   a fork gets no secrets, so its remote is not asked
set -u
export PATH="$PWD/.venv/bin:$PATH"
status=0

python -m tools.fresh HEAD || status=1
if [ "${FROM_FORK:-false}" = true ]; then
    echo "pipeline: from a fork, so DVC's remote is not used"
    exit $status
fi
remote=$(python -m dvc remote default)
case $? in
    0) echo "pipeline: with the remote $remote" ;;
    1)
        echo "pipeline: DVC has no default remote (\`dvc remote add --default\`), so nothing is run"
        exit $status
        ;;
    *) exit 1 ;;
esac
if ! python -m dvc repro --pull --allow-missing; then
    python -m tools.share status # in a line, whether it is the remote
    exit 1
fi
if ! git diff --quiet HEAD -- dvc.lock metrics plots; then
    echo "pipeline: made here, and not committed; run \`dvc repro\` and commit dvc.lock, metrics and plots:" >&2
    git diff --stat HEAD -- dvc.lock metrics plots >&2
    status=1
fi
exit $status
