"""A seeded sample of `make soak`: hostile words and odd stored files are answered by sentences."""

import logging
import sys

import pytest
from helpers import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import soak  # noqa: E402


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    yield soak.tree(tmp_path_factory.mktemp("outputs"))
    logging.getLogger().handlers.clear()  # those of Hydra write to a stream that is gone


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gan-lab"])


def test_hostile_words_are_answered_by_sentences(tree):
    answers = {" ".join(words)[:200]: soak.try_line(words, tree) for words in soak.lines(1, 28)}
    assert {line: wrong for line, wrong in answers.items() if wrong} == {}


def test_odd_files_are_answered_by_sentences_and_hide_no_other_run(tree):
    found = [soak.try_damage(damage, tree, resume=False) for damage in soak.damages(1, 10)]
    assert sum(found, []) == []


def test_the_soak_notices_a_traceback_and_a_hang(monkeypatch):
    """A control: an unforeseen error, an undocumented code and a command that never ends are all wrong answers."""
    monkeypatch.setattr(soak, "command", lambda words: 1 / 0)
    assert "ZeroDivisionError" in soak.ask([])[0]
    monkeypatch.setattr(soak, "command", lambda words: 1)
    assert "code 1" in soak.ask([])[0]
    monkeypatch.setattr(soak, "command", lambda words: [None for _ in iter(int, 1)])
    assert "hangs" in soak.ask([], seconds=1)[0]
