"""Which of the processes of one job this is, by what torchrun puts into the environment of each. Without it there is one."""

import os
import re
from dataclasses import dataclass
from typing import Self

from classifier.common.errors import UserError, shown

LAUNCHED_VARIABLE = "TORCHELASTIC_RUN_ID"
"""Is there in each process that torchrun starts."""
ERROR_FILE_VARIABLE = "TORCHELASTIC_ERROR_FILE"
"""There too: names the file in which torchrun looks for why a process failed."""
PEER_LOST = "peer_lost"
"""Key in that file: whether the process ends only because another one of its job did."""
NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Place:
    """Process `rank` of `size`, counted from 0 over all machines, and `local_rank` among those of this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def of_this_process(cls) -> Self:
        """Raises UserError for an environment that makes no sense."""
        rank, size, local_rank = (_number(name, default) for name, default in _VARIABLES.items())
        if not 0 <= rank < size or local_rank < 0:
            raise UserError(f"RANK must be from 0 to below WORLD_SIZE, got {rank} of {size}; start the job with torchrun")
        return cls(rank, size, local_rank)


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    number = whole_number(text)
    if number is None:
        raise UserError(f"{name} in the environment must be a whole number, got {shown(text)}; start the job with torchrun")
    return number


def whole_number(text: str) -> int | None:
    """What a variable of the environment says, if that is a number of at most nine digits."""
    return int(text) if NUMBER.fullmatch(text) else None
