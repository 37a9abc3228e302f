"""Why the same inputs may have given other bytes here, as far as it can be told."""

import json
from typing import Any

from classifier.common.pins import differing_versions
from stages.runner import REQUIREMENTS_FILE
from tools.clean_room.room import Room, recorded_copy

MODEL_DESCRIPTION = "models/model.json"


def likely_reason(repo: Any, stage: Any, room: Room) -> str:
    """Why bytes may differ: other facts than those in models/model.json, other versions than pinned, or the stage itself."""
    differing = [f"{name} is {here} here, {there} in {MODEL_DESCRIPTION}" for name, there, here in _facts(repo, stage, room)]
    if (room.root / REQUIREMENTS_FILE).is_file():
        pins = differing_versions(room.root / REQUIREMENTS_FILE).items()
        differing += [f"{name} is {here} here, {pin} in {REQUIREMENTS_FILE}" for name, (here, pin) in pins]
    if differing:
        return f"likely reason: {'; '.join(differing)}"
    return (
        "nothing that is recorded differs on this machine; look for the time, a draw without a seed, the order of a folder or "
        "set, a file or param read only when it is there, or an environment variable"
    )


def _facts(repo: Any, stage: Any, room: Room) -> list[tuple[str, Any, Any]]:
    """(name, recorded value, value here) of each fact that differs in `computed_with` of the model the stage makes or reads."""
    models = [item for item in [*stage.outs, *stage.deps] if item.def_path == MODEL_DESCRIPTION]
    recorded = recorded_copy(repo, models[0], room) if models else None
    if recorded is None:
        return []
    description = json.loads(recorded.read_text(encoding="utf-8"))
    there = description.get("computed_with", {})
    here = _facts_here(stage, description["network"]) | _processes_here(there)
    return [(name, there.get(name), here.get(name)) for name in there | here if there.get(name) != here.get(name)]


def _processes_here(there: dict[str, Any]) -> dict[str, Any]:
    """The command that is run again starts as many as it did, the last of several numbers: see classifier.model.compute."""
    return {"processes": int(str(there["processes"]).rpartition(", ")[2])} if "processes" in there else {}


def _facts_here(stage: Any, network: str) -> dict[str, Any]:
    """What a model that is made here would say, with the stage's recorded params."""
    # These take seconds, for torch, and are needed only after a breach.
    from classifier.model.compute import compute_facts, set_up_compute
    from classifier.model.precision import resolve_precision

    values = {name: value for dep in stage.params for name, value in dep.hash_info.value.items()}
    device = set_up_compute(values["device"], values["threads"])
    return dict(compute_facts(device, values["threads"], resolve_precision(values["precision"], network, device)))
