"""Every ```python block of the documentation runs, page by page, in a folder of its own; links and lines too."""

import os
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PARTS = ("tutorial", "howto", "reference", "design", "results")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MARKDOWN = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "datasets").rglob("*.md"))]
WIDTH = 120  # of a line of prose; tables and code may be wider
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = (".py", ".yaml", ".md", ".h", ".c", ".v", ".sv", ".cpp", ".j2", ".S", ".ld")
NAMED = re.compile(r"(?<![\w/.-])docs/[\w/.-]+\.(?:md|svg)")  # in source, where nothing renders links


def name(page):
    return str(page.relative_to(ROOT))


def prose(text):
    """Lines that are neither in a fence nor indented as code nor of a table, each with its number."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith("|"):
            yield number, line


def anchors(page):
    """Of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for _, line in prose(page.read_text(encoding="utf-8")):
        if heading := re.match(r"#+ (.+)", line):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1])
            base = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            repeats = (f"{base}-{n}" for n in range(1, 100))
            found.add(next(repeat for repeat in (base, *repeats) if repeat not in found))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    if "MICO_DATA_MIRROR" in "".join(BLOCK.findall(text)) and "MICO_DATA_MIRROR" not in os.environ:
        pytest.skip("MICO_DATA_MIRROR is not set")
    names: dict = {"__name__": "example"}
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(1))
        exec(compile("\n" * line + match[1], str(page), "exec"), names)


@pytest.mark.parametrize("page", MARKDOWN, ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), f"{name(page)} links to {target}"
        assert not anchor or anchor in anchors(other), (
            f"{name(page)} links to {target}; there are {sorted(anchors(other))}"
        )


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# On other people's `data`\n## A [link](x.md), 8 × 8\n```\n# no heading\n```\n## A link, 8 × 8\n")
    assert anchors(page) == {"on-other-peoples-data", "a-link-8--8", "a-link-8--8-1"}


@pytest.mark.parametrize("page", MARKDOWN, ids=name)
def test_prose_fits_the_line(page):
    long = [number for number, line in prose(page.read_text(encoding="utf-8")) if len(line) > WIDTH]
    assert not long, f"{name(page)}: lines {long} have more than {WIDTH} characters"


@pytest.mark.parametrize("place", ["mico_runner", "tests", "specs", "hardware", "datasets", "CHANGELOG.md", "Makefile"])
def test_pages_that_source_names_exist(place):
    for path in [ROOT / place, *(ROOT / place).rglob("*")]:
        if path.suffix in SOURCE or path.name == "Makefile":
            for named in NAMED.findall(path.read_text(encoding="utf-8")):
                assert (ROOT / named).exists(), f"{name(path)} names {named}"


@pytest.mark.parametrize("page", sorted((DOCS / "reference").glob("*.md")), ids=name)
def test_a_table_says_of_a_key_once_what_it_is(page):
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        keys = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
        assert len(set(keys)) == len(keys), [key for key in set(keys) if keys.count(key) > 1]


def test_the_index_has_every_page_in_the_order_of_the_parts():
    """A page lies in one of the five parts, and docs/README.md lists it there, with a line that says what it is for."""
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+)\): \w.*$", text, re.MULTILINE)
    pages = [str(p.relative_to(DOCS)) for p in DOCS.rglob("*.*") if p.suffix in (".md", ".ipynb") and p.parent != DOCS]
    assert sorted(listed) == sorted(pages)
    assert list(dict.fromkeys(page.split("/")[0] for page in listed)) == list(PARTS)
    root = (ROOT / "README.md").read_text(encoding="utf-8")
    places = [
        root.index(f"](docs/README.md#{anchor})") for anchor in ("tutorial", "how-to", "reference", "design", "results")
    ]
    assert places == sorted(places)


@pytest.mark.slow
def test_generated_pages_say_what_the_code_says():
    written = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    assert {page for page in DOCS.rglob("*.md") if "`make docs-tables`" in page.read_text("utf-8")} == set(written)
    for page, text in written.items():
        assert page.read_text(encoding="utf-8") == text, f"{name(page)} is older than the code: make docs-tables"
