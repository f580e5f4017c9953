"""What identifies a person or opens a door is masked, what only looks like it is not, in any order, in linear time."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.types import Document
from xgen.filters import private
from xgen.filters.config import FilterConfig
from xgen.filters.private import pii_filter, secrets_filter

PII, SECRETS = pii_filter(FilterConfig()), secrets_filter(FilterConfig())
HOST = "93.184.216.34"
TOKEN = "ghp_" + "a1B2" * 9
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA\n" * 4 + "-----END RSA PRIVATE KEY-----"


def after(judge, text: str) -> str:
    judged = judge(Document("it", "1", text, "MIT"))
    assert isinstance(judged, Document)
    return judged.text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+news@mail.example.org.", "Write to <EMAIL>."),
        ("mailto:o_neil@uni-koeln.de?subject=x", "mailto:<EMAIL>?subject=x"),
        ("host=93.184.216.34", "host=<IP_ADDRESS>"),
        (f"http://{HOST}/x", "http://<IP_ADDRESS>/x"),
        ("from 93.184.216.34 port 22", "from <IP_ADDRESS> port 22"),
        ("listen [2606:2800:220:1:248:1893:25c8:1946]:80", "listen [<IP_ADDRESS>]:80"),
        ("call +49 30 1234 5678 today", "call <PHONE> today"),
        ("call +1 (555) 123-4567.", "call <PHONE>."),
    ],
)
def test_a_persons_addresses_are_masked(text, masked):
    assert after(PII, text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:some/repository.git",
        "ssh://git@example.org/x",
        "react@18.2.0 and @property",
        "version 10.0.19041.1",
        "Version 93.184.216.34",
        "package==4.25.3.100",
        "Chrome/93.0.216.134 Safari",
        "v1.2.3.4 and 4.15.0.20",
        "127.0.0.1, 10.1.2.200, 192.168.1.100, 255.255.255.0",
        f"the network {HOST}/24",
        "2002 12.34.56.78+0800",
        "section 4.3.2.1.250",
        "std::vector, a::b, 12:34:56, 10:20:30:40",
        "1e+10, +1234567890, x + 12 34",
        "300.400.500.600",
    ],
)
def test_what_only_looks_like_an_address_stays(text):
    assert after(PII, text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"token = '{TOKEN}'", "token = '<SECRET>'"),
        (f"a\n{KEY}\nb", "a\n<SECRET>\nb"),
        ("AWS AKIAIOSFODNN7EXAMPLE.", "AWS <SECRET>."),
        ("https://user:hunter2@example.org/x", "https://<SECRET>@example.org/x"),
    ],
)
def test_keys_and_passwords_are_masked(text, masked):
    assert after(SECRETS, text) == masked


@pytest.mark.parametrize(
    "text", ["ghp_short", "https://example.org:80/a@b", "https://$USER:$PASSWORD@host", "sk-learn"]
)
def test_what_opens_nothing_stays(text):
    assert after(SECRETS, text) == text


PIECES = [
    "a@b.cd",
    "x.y@",
    TOKEN,
    KEY[:40],
    KEY,
    "://u:p",
    "@h.org",
    "93.184.216.34",
    ":",
    ".",
    "/",
    " ",
    "<",
    "+49 30 ",
]
PIECES += [
    "1234 5678",
    "2606:2800::1",
    "AKIAIOSFODNN7EXAMPLE",
    "-",
    "_",
    "git@",
    "é",
    "\n",
    "eyJ" + "a" * 12,
    "version ",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_both_filters_give_the_same_in_either_order(text):
    assert after(SECRETS, after(PII, text)) == after(PII, after(SECRETS, text))


@pytest.mark.parametrize(
    "piece", ["a.", "a@", "a@a.", "1.", "a:", "+1 1 ", "://a:", "-----BEGIN PRIVATE KEY-----", "eyJa", "a"]
)
def test_time_is_linear_in_hostile_text(piece):
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        started = time.process_time()
        after(PII, text)
        after(SECRETS, text)
        return time.process_time() - started

    assert seconds(20_000) < 2
    assert seconds(80_000) < 8 * min(seconds(20_000) for _ in range(2)) + 0.05


FINDINGS = (
    *(
        HOST,
        TOKEN,
        KEY,
        private.SECRET,
        "jane@mail.example.org",
        "2606:2800:220:1:248:1893:25c8:1946",
        "+49 30 1234 5678",
    ),
    *("AKIA" + "A1B2" * 4, "ASIA" + "A1B2" * 4, "github_pat_" + "a" * 60, "glpat-" + "a1" * 10, "xoxb-" + "a1" * 5),
    *("AIza" + "a_b-c" * 7, "hf_" + "aB" * 15, "sk-proj-" + "a1" * 16, "sk_live_" + "a1" * 10, "pypi-" + "a_" * 40),
    *("eyJ" + "a" * 10 + ".eyJ" + "b" * 10 + "." + "c" * 10, "https://me:secret@host.org", "ghs_" + "a1" * 18),
)
PIECES = (*FINDINGS, *"\n\n\n .:@+-/_ax1", "://", "version ", "git@", "\r\n", "\u0663", "e", "::1")


def by_definition(text):
    """Look for every pattern at every place."""
    secrets = [match[0] for match in private.IS_SECRET.finditer(text)]
    parts = private.IS_PRIVATE.sub(private._masked, private.IS_SECRET.sub(private.SECRET, text)).split(private.SECRET)
    return "".join(part + secret for part, secret in zip(parts, [*secrets, ""], strict=True))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_fast_search_finds_what_a_search_at_every_place_finds(text):
    assert after(PII, text) == by_definition(text)
    assert after(SECRETS, text) == private.IS_SECRET.sub(private.SECRET, text)


@pytest.mark.parametrize("finding", [each for each in FINDINGS if each != private.SECRET])
def test_each_kind_of_finding_is_found_alone_and_within_lines(finding):
    for text in (finding, f"Say\n{finding}\nonce.", f"x = '{finding}'"):
        assert after(PII, text) == by_definition(text)
        assert after(PII, after(SECRETS, text)) != text
