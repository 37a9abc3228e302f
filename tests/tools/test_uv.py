"""tools/uv.py gives uv the settings of pip, and refuses those that uv has otherwise."""

import pytest

from tools.uv import OURS, uv_environment


def test_the_settings_of_pip_reach_uv_under_its_names_and_the_later_section_wins() -> None:
    settings = [
        ":env:.extra-index-url='https://two.example/simple'",
        ":env:.no-cache-dir='1'",
        "global.cert='/etc/my certificates.crt'",
        "global.constraint='/etc/one.txt /etc/two.txt'",
        "global.extra-index-url='https://one.example/simple'",
        "global.find-links='/wheels\\n/more'",
        "global.index-url='https://pypi.example/simple'",
        "global.timeout='180'",
        "global.user='true'",
        "install.index-url='https://other.example/simple'",
    ]
    assert uv_environment(settings) == OURS | {
        "UV_DEFAULT_INDEX": "https://other.example/simple",
        "UV_INDEX": "https://two.example/simple",
        "UV_NO_CACHE": "1",
        "SSL_CERT_FILE": "/etc/my certificates.crt",
        "UV_CONSTRAINT": "/etc/one.txt /etc/two.txt",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_HTTP_TIMEOUT": "180",
    }


def test_settings_of_other_commands_do_not_matter_and_no_settings_are_fine() -> None:
    assert uv_environment(["list.format='json'", ""]) == OURS


def test_a_setting_that_uv_has_otherwise_is_named() -> None:
    with pytest.raises(ValueError, match=r"^pip is set to only-binary :all:, which uv has otherwise$"):
        uv_environment(["global.only-binary=':all:'"])
