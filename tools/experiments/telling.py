"""How these tools say what they do."""


def say(text: str) -> None:
    """On a line of its own, at once: DVC and the stages print between."""
    print(f"experiments: {text}", flush=True)


def count(number: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
