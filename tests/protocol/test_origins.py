"""Web origins: the Origin row of the bad-input list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.origins import normal_origin, origin_allowed

ALLOWED = ["https://good.com", "http://localhost:8080", "https://*.shop.example", "https://bücher.example"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.com",
        "HTTPS://GOOD.com",
        "https://good.com:443",
        "http://localhost:8080",
        "https://de.shop.example",
        "https://xn--bcher-kva.example",
    ],
)
def test_on_the_list(origin: str) -> None:
    assert origin_allowed(origin, ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "good.com",
        "http://good.com",
        "https://good.com.",
        "https://good.com.evil.io",
        "https://evil-good.com",
        "https://www.good.com",
        "https://good.com:8443",
        "https://good.com@evil.io",
        "https://good.com/path",
        "https://good.com?",
        "https://good.com\t",
        " https://good.com",
        "https://good.com https://evil.io",
        "http://localhost",
        "http://localhost:8081",
        "https://shop.example",
        "https://a.b.shop.example",
        "https://*.shop.example",
        "https://.shop.example",
        "http://de.shop.example",
        "https://de.shop.example:8443",
        "file://good.com",
        "https://" + "a" * 5000,
    ],
)
def test_not_on_the_list(origin: str | None) -> None:
    assert not origin_allowed(origin, ALLOWED)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("http://[::1]:80", "http://[::1]"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("https://straße.example", None),
        ("https://[::1", None),
        ("https://a:99999", None),
        ("https://a:", None),
        ("https://[good.com]", None),
    ],
)
def test_written_form(text: str, normal: str | None) -> None:
    assert normal_origin(text) == normal


@given(st.text(st.characters(codec=None)) | st.from_regex(r"https?://[a-z0-9.:\[\]@/*%-]*", fullmatch=True))
def test_the_written_form_is_stable(text: str) -> None:
    normal = normal_origin(text)
    assert normal is None or (normal_origin(normal) == normal and origin_allowed(text, [normal]))
