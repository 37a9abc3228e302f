"""The experiments that git holds: each a commit under the commit that it began from."""

import re
from dataclasses import dataclass

from tools.experiments.git import git
from tools.review.revisions import Revision

_REF = re.compile(r"refs/exps/(?P<start>[0-9a-f]{2})/(?P<rest>[0-9a-f]{38})/(?P<name>[^/]+)")


@dataclass(frozen=True)
class Held:
    """An experiment that has ended well."""

    name: str
    baseline: str
    """The commit that it began from."""
    commit: str

    @property
    def revision(self) -> Revision:
        """For the readers of tools.review."""
        return Revision(self.name, self.commit)


def held_experiments() -> list[Held]:
    """All of them, sorted by where git keeps them."""
    lines = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = [(line.partition(" ")[0], _REF.fullmatch(line.partition(" ")[2])) for line in lines]
    return [Held(ref["name"], ref["start"] + ref["rest"], commit) for commit, ref in found if ref]


def ref_of(baseline: str, name: str) -> str:
    """Where DVC keeps the experiment `name` that begins from the commit `baseline`."""
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"
