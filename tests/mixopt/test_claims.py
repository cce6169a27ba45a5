"""Claims: one owner at a time, whoever dies, falls silent or comes back."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mixopt.claims import Claims
from mixopt.errors import DataError


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims", stale_seconds=60.0)


def silence(claim, seconds=1e4):
    """Make a claim look as if its owner had last touched it long ago."""
    then = time.time() - seconds
    os.utime(claim.path, (then, then))


def give_to(claim, **owner):
    """Rewrite the owner of a claim."""
    values = json.loads(claim.path.read_text().splitlines()[0])
    claim.path.write_text(json.dumps({**values, **owner}) + "\n")


def dead_process() -> int:
    """The number of a process that has ended and was waited for."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_a_live_claim_is_nobody_elses(claims):
    claim = claims.take("run")
    assert claim.attempt == 1
    assert claim.held()
    assert claims.take("run") is None
    assert not claims.is_free("run")
    assert claims.is_free("other")


@pytest.mark.parametrize("end", ["release", "fail"])
def test_what_was_given_back_is_free_at_once(claims, end):
    first = claims.take("run")
    getattr(first, end)()
    assert not first.held()
    second = claims.take("run")
    assert second.attempt == claims.attempts("run") == 2
    assert second.held()


def test_a_silent_owner_loses_its_claim_and_notices(claims):
    first = claims.take("run")
    silence(first)
    assert first.held()  # silent, but nobody has asked yet
    second = claims.take("run")
    assert second is not None
    assert not first.held()
    first.touch()  # it comes back too late
    first.saved()
    assert second.held()
    assert claims.take("run") is None


def test_touching_keeps_a_claim(claims):
    claim = claims.take("run")
    silence(claim)
    claim.touch()
    assert claims.take("run") is None


def test_a_dead_process_of_this_machine_frees_its_claim_at_once(claims):
    give_to(claims.take("run"), pid=dead_process())
    assert claims.take("run").attempt == 2


def test_a_process_of_another_machine_is_judged_by_its_silence_only(claims):
    claim = claims.take("run")
    give_to(claim, pid=dead_process(), machine="elsewhere")
    assert claims.take("run") is None
    silence(claim)
    assert claims.take("run").attempt == 2


@pytest.mark.parametrize("content", ["", '{"machine": "a', "\n"])
def test_a_claim_read_while_it_is_written_is_live(claims, content):
    claim = claims.take("run")
    claim.path.write_text(content)
    assert claims.take("run") is None
    silence(claim)
    assert claims.take("run") is not None


def test_an_emptied_folder_is_no_claim(claims):
    claim = claims.take("run")
    claim.path.unlink()
    claim.touch()
    assert not claim.held()
    assert claims.take("run").attempt == 1


def test_failures_count_until_something_was_achieved(claims):
    claims.take("run").fail()
    assert claims.failures("run") == 1
    give_to(claims.take("run"), pid=dead_process())  # died without a word
    assert claims.failures("run") == 2
    live = claims.take("run")
    assert claims.failures("run") == 2  # a live attempt has not failed yet
    live.release()
    assert claims.failures("run") == 0


def test_dying_after_a_checkpoint_is_no_failure_but_failing_is(claims):
    claim = claims.take("run")
    claim.saved()
    silence(claim)
    assert claims.failures("run") == 0
    claim = claims.take("run")
    claim.saved()
    claim.fail()
    assert claims.failures("run") == 1


def test_names_that_begin_alike_do_not_meet(claims):
    claims.take("ab")
    assert claims.attempts("a") == 0
    assert claims.take("a") is not None


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "claims").write_text("a file, not a folder")
    with pytest.raises(DataError, match="could not be written"):
        Claims(tmp_path / "claims").take("run")


def _grab(folder: Path, names: list[str], barrier, queue) -> None:
    claims = Claims(folder)
    barrier.wait()
    queue.put([name for name in names if claims.take(name) is not None])
    barrier.wait()  # nobody ends, and so frees its claims, before all have tried


@pytest.mark.parametrize("stale", [False, True], ids=["new", "takeover"])
def test_processes_that_race_share_the_runs_without_overlap(tmp_path, stale):
    names = [f"run{number}" for number in range(60)]
    if stale:
        for name in names:
            silence(Claims(tmp_path).take(name))
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    racers = [
        context.Process(target=_grab, args=(tmp_path, names, barrier, queue)) for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    taken = [name for _ in racers for name in queue.get(timeout=30)]
    for racer in racers:
        racer.join()
    assert sorted(taken) == sorted(names)
