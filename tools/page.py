"""An HTML page that needs nothing else: no script, no network; dark and light, small screens, print.

A template of Jinja writes it, so every text from a file is escaped. The policy in the page names its one style sheet by its
hash: not even a mistake in escaping could load, run or restyle anything.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters["thousands"] = "{:,}".format


def render(name: str, **values: Any) -> str:
    """The page of the template `tools/<name>.html` in the style of `tools/base.css` and `tools/<name>.css`."""
    style = "".join((_FOLDER / file).read_text(encoding="utf-8") for file in ("base.css", f"{name}.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _TEMPLATES.get_template(f"{name}.html").render(style=style, style_digest=digest, **values)
