"""Mask what identifies a person or opens a door: addresses of mail and machines, phone numbers, keys and passwords.

Mail and machines are looked for in the text without its secrets, whichever filter runs first, and placeholders are
fixed: the result depends on nothing but the text. Every pattern is bounded, so no text takes more than linear time. To
look for all patterns at every place takes longer than to tokenize, so first a text is searched for what a finding must
contain.
"""

import dataclasses
import ipaddress
import re

from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

SECRETS = (
    r"-----BEGIN (?P<key>[A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?)-----"
    r"[A-Za-z0-9+/=\s:,.\\()-]{0,8000}?-----END (?P=key)-----",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # Amazon
    r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_[A-Za-z0-9_]{60,90}\b",
    r"\bglpat-[A-Za-z0-9_-]{20,40}\b",  # GitLab
    r"\bxox[abposr]-[A-Za-z0-9-]{10,200}\b",  # Slack
    r"\bAIza[A-Za-z0-9_-]{35}(?![\w-])",  # Google
    r"\bhf_[A-Za-z]{30,40}\b",  # Hugging Face
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,200}(?![\w-])",
    r"\b[sr]k_live_[A-Za-z0-9]{20,100}\b",  # Stripe
    r"\bpypi-[A-Za-z0-9_-]{80,200}(?![\w-])",
    r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}(?![\w-])",  # a JSON web token
    r"(?<=://)[^\s/:@<>{}$\"']{1,64}:[^\s/@<>{}$\"']{1,128}(?=@[\w<-])",  # user:password in an address
)
SECRET_HINTS = tuple(
    (begin, re.compile(begin + rest))
    for begin, rest in (
        ("-----BEGIN ", r"[A-Z ]{0,20}PRIVATE KEY"),
        ("AKIA", r"[A-Z0-9]{16}"),
        ("ASIA", r"[A-Z0-9]{16}"),
        *((f"gh{kind}_", r"[A-Za-z0-9]{36}") for kind in "pousr"),
        ("github_pat_", r"[A-Za-z0-9_]{60}"),
        ("glpat-", r"[A-Za-z0-9_-]{20}"),
        ("xox", r"[abposr]-[A-Za-z0-9-]{10}"),
        ("AIza", r"[A-Za-z0-9_-]{35}"),
        ("hf_", r"[A-Za-z]{30}"),
        ("sk-", r"[A-Za-z0-9_-]{32}"),
        ("k_live_", r"[A-Za-z0-9]{20}"),
        ("pypi-", r"[A-Za-z0-9_-]{80}"),
        ("eyJ", r"[A-Za-z0-9_-]{10,2000}\.eyJ"),
        ("://", r"[^\s/:@<>{}$\"']{1,64}:[^\s/@<>{}$\"']{1,128}@"),
    )
)
"""How each of SECRETS begins, which is found fast, and what must follow."""
AFTER = r"(?![\w%+-]|\.\d)"
"""None of these may begin where another ends: masking the first would uncover the second."""
EMAIL = (
    r"(?<![\w.%+/-])(?!git@)[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}" + AFTER
)
IPV4 = r"(?<![\w.^~-])(?<![A-Za-z]/)(?<![=~<>!]=)(?:\d{1,3}\.){3}\d{1,3}(?!/\d|\.\w)" + AFTER
IPV6 = r"(?<![\w:.-])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![:/]|\.\w)" + AFTER
PHONE = r"(?<![\w+-])\+[1-9]\d{0,2}[ .-]\(?\d{1,4}\)?(?:[ .-]\d{2,4}){2,4}" + AFTER
SECRET = "<SECRET>"
PLACEHOLDERS = {"email": "<EMAIL>", "ip": "<IP_ADDRESS>", "phone": "<PHONE>"}
IS_SECRET = re.compile("|".join((SECRET, *SECRETS)))
IS_PRIVATE = re.compile(f"(?P<email>{EMAIL})|(?P<ip>(?<!ersion )(?<!elease )(?:{IPV4}|{IPV6}))|(?P<phone>{PHONE})")

PRIVATE_HINT = re.compile(
    r"@(?<=[A-Za-z0-9._%+-]@)[A-Za-z0-9-]{1,63}\.|\.\d{1,3}\.\d|:[0-9A-Fa-f]{0,4}:|\+[1-9]\d{0,2}[ .-]"
)
"""Every line with an address or a number of IS_PRIVATE has one of these; nothing that it finds spans two lines."""


def pii_filter(config: FilterConfig) -> Filter:
    """Mask e-mail addresses, public addresses of machines and international phone numbers."""

    def judge(document: Document) -> Document | Drop:
        text = document.text
        if not may_hold_secrets(text):
            masked = mask_private(text)
        else:
            secrets = [match[0] for match in IS_SECRET.finditer(text)]
            parts = mask_private(IS_SECRET.sub(SECRET, text)).split(SECRET)
            pairs = zip(parts, [*secrets, ""], strict=True)  # no private pattern reaches across a placeholder
            masked = "".join(part + secret for part, secret in pairs)
        return document if masked == text else dataclasses.replace(document, text=masked)

    return judge


def secrets_filter(config: FilterConfig) -> Filter:
    """Mask private keys, tokens of known forms, and passwords in addresses."""

    def judge(document: Document) -> Document | Drop:
        if not may_hold_secrets(document.text):
            return document
        return dataclasses.replace(document, text=IS_SECRET.sub(SECRET, document.text))

    return judge


def may_hold_secrets(text: str) -> bool:
    """Tell texts in which IS_SECRET finds nothing but placeholders, much faster than it does."""
    return any(begin in text and hint.search(text) for begin, hint in SECRET_HINTS)


def mask_private(text: str) -> str:
    """Do what IS_PRIVATE.sub(_masked, text) does, on the lines that may hold something."""
    parts, end = [], 0
    while hint := PRIVATE_HINT.search(text, end):
        start = text.rfind("\n", end, hint.start()) + 1
        parts.append(text[end:start])
        end = text.find("\n", hint.start())
        end = len(text) if end < 0 else end
        parts.append(IS_PRIVATE.sub(_masked, text[start:end]))
    return "".join((*parts, text[end:])) if parts else text


def _masked(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    return match[0] if kind == "ip" and not _is_a_machine(match[0]) else PLACEHOLDERS[kind]


def _is_a_machine(text: str) -> bool:
    """Tell public addresses from versions: four numbers under 32 are one in 4,000 addresses, and most versions."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and int(address) >> 125 == 1  # 2000::/3, all that is given out
    return address.is_global and max(address.packed) >= 32
