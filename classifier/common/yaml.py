"""YAML as DVC reads it."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

MAX_DEPTH = 100


def parse_yaml(text: str) -> Any:
    """By the parser of DVC. Raises YAMLError for lists and mappings more than MAX_DEPTH deep, of which that has no limit."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YAMLError(f"more than {MAX_DEPTH} lists or mappings in each other")
    return YAML(typ="safe").load(text)
