"""The report page: complete and bare folders, hostile text, nothing fetched, the same bytes each time."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from report.conftest import TINY
from xgen.core.ledger import RunFolder
from xgen.recipes.schema import to_plain
from xgen.report.build import build, write

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements, attributes and the text that a reader sees; `unbalanced` names tags that close nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_a_complete_run_shows_its_numbers(complete: RunFolder, tuned: RunFolder) -> None:
    html = build(complete, tuned)
    text = Page(html).text
    assert "<title>xgen run tiny-cab216e146</title>" in html
    for shown in (
        "411,648",
        "412k",
        "819 → 409",
        "It falls, and the intervals lie apart",
        "107 of 107",
        "13,911,168",
        "AMD EPYC 7B13",
        "2 min 31 s",
        "3 min 34 s from data to export, 2.4 GB at most",
        "3.1e-06",
        "Return the sum of a and b.",
        "prose 75.0 % · code 25.0 %",
        "natural language 95.3 % · code 4.7 %",
        "164,352",
        "1,200,000",
        "held out",
        "granted to the the Python",
        "Figure 1.",
        "Figure 2.",
        "Figure 3.",
    ):
        assert shown in text, shown
    assert "7 left out: longer than the context" in text
    assert "Not run yet" not in text and "is not finished" not in text


def test_a_bare_run_names_the_command_of_each_part_that_has_not_run(bare: RunFolder) -> None:
    text = Page(build(bare, None)).text
    for verb in ("prepare", "evaluate", "instruct", "quickstart", "export"):
        assert f"Not run yet: xgen {verb} runs/tiny-cab216e146" in text
    assert "12 of 107" in text and "24.6k" in text
    assert "Pretrain is not finished" in text


def test_a_run_without_a_single_step_has_a_page(tmp_path: Path) -> None:
    text = Page(build(RunFolder.create(tmp_path / "runs" / "tiny-0", to_plain(TINY)), None)).text
    assert "Not run yet: xgen pretrain runs/tiny-0" in text


def test_hostile_sample_text_stays_text(complete: RunFolder, tuned: RunFolder) -> None:
    html = build(complete, tuned)
    page = Page(html)
    assert "<script>alert('x')</script>" in page.text, "the reader sees what the model wrote"
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert "\x1b" not in html and "\u202e" not in html
    assert r"\u001b[31mred\u202e" in page.text


def test_half_a_surrogate_pair_does_not_stop_the_page(bare: RunFolder) -> None:
    (bare.path / "results").mkdir()
    (bare.path / "results" / "samples.json").write_text(
        r'{"base": [{"prompt": "a", "text": "\ud83d\u0000", "finish": "stop"}]}'
    )
    assert r"\ud83d\u0000" in write(bare, None).read_text(encoding="utf-8")


def test_the_page_fetches_nothing(complete: RunFolder, tuned: RunFolder) -> None:
    html = build(complete, tuned)
    page = Page(html)
    assert not page.unbalanced and not page.open
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert value.startswith(("#", "data:")), (name, value)
        assert not name.startswith("on"), "no scripts in attributes"
    assert "@import" not in html
    assert all(inside.startswith("#figure-") for inside in re.findall(r"url\(([^)]*)\)", html))
    assert "default-src 'none'" in html


def test_every_id_is_there_once(complete: RunFolder, tuned: RunFolder) -> None:
    html = build(complete, tuned)
    ids = [value for name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', html)) <= set(ids)


def test_the_same_folder_gives_the_same_bytes_in_another_process(complete: RunFolder, tuned: RunFolder) -> None:
    again = (
        "import sys; from pathlib import Path; from xgen.core.ledger import RunFolder as R; "
        "from xgen.report.build import build; a, b = map(Path, sys.argv[1:]); "
        "page = build(R.open(a), R.open(b)); assert not [m for m in sys.modules if m.split('.')[0] == 'jax']; "
        "sys.stdout.buffer.write(page.encode())"
    )
    other = subprocess.run([sys.executable, "-c", again, complete.path, tuned.path], capture_output=True, check=True)
    path = write(complete, tuned)
    assert path.name == "report.html"
    assert path.read_bytes() == other.stdout


def test_the_tokens_that_teach_are_marked_and_no_others(complete: RunFolder, tuned: RunFolder) -> None:
    html = build(complete, tuned)
    assert '<span class="teaches"> Return the sum of a and b.&lt;|endoftext|&gt;</span>' in html
    assert 'class="masked">### Human: Write the docstring' in html


def test_tuning_that_was_stopped_is_not_called_finished(complete: RunFolder, tuned: RunFolder) -> None:
    tuned.metrics.cut_after(39)
    assert "Instruct is not finished" in Page(build(complete, tuned)).text


def test_overlapping_intervals_are_not_called_a_fall(complete: RunFolder) -> None:
    perplexity = complete.read_result("perplexity")
    perplexity["stages"][-1]["last_eighth"]["high"] = perplexity["stages"][-1]["first_eighth"]["low"] + 1
    complete.write_result("perplexity", perplexity)
    assert "The intervals do not show a fall" in Page(build(complete, None)).text
