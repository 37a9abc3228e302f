"""Answers, as they come, to the screen; and what is kept of them for the end."""

import sys
from typing import Any

from classifier.table.unreadable import Unreadable
from tools.predict.predictor import Answer, Predictor
from tools.predict.text_picture import as_text
from tools.predict.wording import answer_entry, answer_lines, model_entry, model_line, unreadable_line

MOST_KEPT = 80
"""Pictures in a grid; further ones are not held in memory."""


class Report:
    """Prints to stdout a line for the model and two for each picture, unless `as_json`; to stderr what is unreadable."""

    def __init__(self, predictor: Predictor, *, as_json: bool, show: bool, keeps_pictures: bool) -> None:
        self.kept: list[Answer] = []
        self.unreadable: list[Unreadable] = []
        self.num_answered = 0
        self._entries: list[dict[str, Any]] = []
        self._model = model_entry(predictor.description, predictor.settings)
        self._as_json, self._show, self._keeps_pictures = as_json, show, keeps_pictures
        if not as_json:
            print(model_line(predictor.description, predictor.settings), flush=True)

    def take(self, result: Answer | Unreadable) -> None:
        """Tell of the next picture."""
        if isinstance(result, Unreadable):
            self.unreadable.append(result)
            print(unreadable_line(result), file=sys.stderr, flush=True)
            return
        self.num_answered += 1
        if self._keeps_pictures and len(self.kept) < MOST_KEPT:
            self.kept.append(result)
        if self._as_json:
            self._entries.append(answer_entry(result))
            return
        print(answer_lines(result), flush=True)
        if self._show:
            print(as_text(result.picture.image_CHW), flush=True)

    def document(self) -> dict[str, Any]:
        """All of it, for other programs."""
        unreadable = [{"path": one.path, "reason": one.reason} for one in self.unreadable]
        return {"model": self._model, "pictures": self._entries, "unreadable": unreadable}
