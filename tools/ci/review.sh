# In CI: review the pull request's merge commit against the branch that it goes into, and put the review into the pull request.
#   sh tools/ci/review.sh [options of tools.review]
# Exit status: that of tools.review (3: --fail-on found a regression), or else 1 when the review could not be posted.
set -u
export PATH="$PWD/.venv/bin:$PATH"
review=$(mktemp -d) && trap 'rm -rf "$review"' EXIT || exit 1

# The merge commit's first parent is the branch without the pull request. A branch that has moved on since is another.
base=$(git rev-parse --verify --quiet HEAD^1) || {
    echo "review: HEAD has no parent here; check out with fetch-depth: 0" >&2
    exit 1
}
if [ "$(git rev-parse --verify --quiet "origin/${GITHUB_BASE_REF:-}")" = "$base" ]; then
    base=origin/$GITHUB_BASE_REF
fi
# What `dvc repro` has made here beyond what is committed
head=HEAD
git diff --quiet HEAD -- dvc.lock metrics plots || head=workspace

python -m tools.review "$base" "$head" "$@" >"$review/text.md" 2>"$review/errors"
status=$?
cat "$review/errors" >&2
# Also a review that failed must replace the one of an earlier push.
if ! [ -s "$review/text.md" ]; then
    printf '%s\n\n### No review\n\n' '<!-- tools.review -->' >"$review/text.md"
    sed 's/^/    /' "$review/errors" >>"$review/text.md" # as code: nothing in it is Markdown or calls anybody
fi
python -m tools.ci.post "$review/text.md" || [ "$status" -ne 0 ] || status=1
exit "$status"
