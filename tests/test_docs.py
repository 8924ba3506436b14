"""The documentation: its examples run, its commands parse, its links lead somewhere, its sentences are short."""

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro

from lightpose import cli
from tests.test_imports import FLOORS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PHOTOS = {"photo.jpg": "astronaut.jpg", "other.jpg": "grace_hopper.jpg"}
"""Names of images in the examples, and the photos in examples/photos that stand for them."""

OTHERS_OPTIONS = {"node-rank", "teacher", "hint", "rounds"}
"""Options that the prose names of torchrun and of the scripts in benchmarks/ and tools/."""

FENCE = re.compile(r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_WORDS, MOST_IN_README = 32, 700
UNDERSTOOD = 77
"""Exit code of a command line that was parsed and not run."""


@dataclasses.dataclass(frozen=True)
class Understood:
    """A command without options that does nothing."""

    def run(self) -> int:
        return UNDERSTOOD


def blocks(kind: str) -> Iterator[tuple[str, str, str]]:
    """Each block of a kind: where it is, the comment on the line before it, and its text."""
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for block in FENCE.finditer(content):
            if block["kind"] == kind:
                line = content.count("\n", 0, block.start("kind")) + 1
                yield f"{page.relative_to(ROOT)}:{line}", block["note"] or "", block["text"]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of the shell blocks: where its block is, and its words."""
    for where, _, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in ("|", ";", "&&"):
                    words.append(word)
                elif words:
                    yield where, words
                    words = []


def arguments(words: list[str]) -> list[str] | None:
    """What a command gives to lightpose, if it calls it; not the file that its output goes to."""
    for start in (["lightpose"], ["-m", "lightpose"]):
        for place in range(len(words) if start[0] == "-m" else 1):
            if words[place : place + len(start)] == start:
                given = words[place + len(start) :]
                return given[: given.index(">")] if ">" in given else given
    return None


def prose(content: str) -> Iterator[str]:
    """The sentences of a page, without code, tables, headings and targets of links."""
    text = re.sub(r"<!--.*?-->", "", FENCE.sub("\n\n", content), flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s*(\||#).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*(-|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split()))


def anchors(page: Path) -> set[str]:
    """The places in a page that a link may name, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


EXAMPLES = [pytest.param(note, text, id=where) for where, note, text in blocks("python")]
CALLS = {" ".join(words): (where, words) for where, words in commands()}
LIGHTPOSE = [
    pytest.param(where, given, id=line) for line, (where, words) in CALLS.items() if (given := arguments(words))
]


@pytest.mark.parametrize(("note", "code"), EXAMPLES)
def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str, code: str):
    if note.startswith("not run:"):
        compile(code, "example", "exec")
        pytest.skip(note)
    if note.startswith("needs "):
        pytest.importorskip(note.removeprefix("needs "))
    for name, photo in PHOTOS.items():
        shutil.copy(ROOT / "examples" / "photos" / photo, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize(("where", "given"), LIGHTPOSE)
def test_commands_parse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str, given: list[str]
):
    parse = tyro.cli

    def parse_only(*positional: object, **named: object) -> Understood:
        parse(*positional, **named)
        return Understood()

    monkeypatch.setattr(tyro, "cli", parse_only)
    with pytest.raises(SystemExit) as ended:
        cli.main(given)
    assert ended.value.code == UNDERSTOOD, f"{where}: lightpose {shlex.join(given)}\n{capsys.readouterr().err}"


def test_scripts_that_the_pages_call_exist():
    called = {
        word
        for words in ([*words] for _, words in CALLS.values())
        for word in words
        if re.fullmatch(r"(benchmarks|examples|scripts|tests|tools)/\S+", word)
    }
    called |= {
        name for page in PAGES for name in re.findall(r"(?:benchmarks|tools)/\w+\.py", page.read_text(encoding="utf-8"))
    }
    assert called
    assert [name for name in sorted(called) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}, which is missing"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}, a heading that is missing"


def test_options_that_the_prose_names_exist():
    fields = {
        field.name.rstrip("_").replace("_", "-")
        for module in pkgutil.iter_modules(cli.__path__)
        for kind in vars(importlib.import_module(f"lightpose.cli.{module.name}")).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
    }
    known = fields | {f"no-{name}" for name in fields} | {"help"} | OTHERS_OPTIONS
    for page in PAGES:
        named = re.findall(r"--([a-z][\w-]*)", FENCE.sub("", page.read_text(encoding="utf-8")))
        assert set(named) <= known, f"{page.name} names --{', --'.join(sorted(set(named) - known))}"


def test_every_page_is_linked_from_the_readme():
    text = README.read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"(docs/{name}" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_short(page: Path):
    long = [line for line in prose(page.read_text(encoding="utf-8")) if len(line.split()) > MOST_WORDS]
    assert not long, f"{page.name} has sentences of more than {MOST_WORDS} words:\n" + "\n".join(long)


def test_a_long_sentence_is_seen_and_tables_and_code_are_not_read():
    words = " ".join(["word"] * 40)
    assert max(len(line.split()) for line in prose(f"Short. {words}.\n")) == 40
    for hidden in (f"| {words} |", f"# {words}", f"```sh\n{words}\n```", f"<!-- {words} -->", f"[a](b '{words}')"):
        assert max(len(line.split()) for line in prose(f"Short.\n\n{hidden}\n")) == 1


def test_the_readme_is_one_page_with_its_markers():
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) <= MOST_IN_README
    assert text.index("<!-- accuracy -->") < text.index("<!-- /accuracy -->")
    assert "scripts/test" in text
    assert "scripts/demo" in text


def test_the_floors_in_the_architecture_are_those_of_the_test_of_imports():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", text, re.MULTILINE)
    assert {int(floor): tuple(re.findall(r"`(\w+)`", parts)) for floor, parts in rows} == dict(enumerate(FLOORS, 1))


def test_files_that_the_architecture_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`([a-z_]+/[\w/]*(?:\.py)?)`", text)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "lightpose" / name).exists() and not (ROOT / name).exists()] == []


def test_modules_that_the_contributing_guide_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = {name for name in re.findall(r"`((?:lightpose|tests)/[\w/]+\.py)`", text) if "mine" not in name}
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    for table, module in (("MODELS", "lightpose.models"), ("LAYOUTS", "lightpose.detect.layouts")):
        assert f"`{table}`" in text
        if module != "lightpose.models" or importlib.util.find_spec("torch"):
            assert hasattr(importlib.import_module(module), table)
