"""A small writer in processes that may be killed: run by the tests here (conftest.py).

Every call, and every run of a call, happens in a forked child, so that twenty kills cost twenty runs and not twenty
starts of Python. A line of stdin is a call; a line of stdout is its exit status.
"""

import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.errors import OutputError

SHAPE = (16, 32)
COUNT = 1000


def spec(count=COUNT, identity="ab" * 32):
    return OutputSpec(tuple(range(count)), SHAPE, np.dtype("uint16"), identity, 0.65, 0.1, (0.0, 20.0))


def image(t):
    return ((np.arange(SHAPE[0] * SHAPE[1]) * 7 + 31 * t) % 65536).reshape(SHAPE).astype(np.float32)


def digest(path):
    """sha256 of a file, or of all files of a folder; None where there is neither."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        return None
    files = sorted(p for p in path.rglob("*") if p.is_file())
    content = b"".join(str(p.relative_to(path)).encode() + p.read_bytes() for p in files)
    return hashlib.sha256(content).hexdigest()


def write(path, what, log=None, overwrite=False, hold=None):
    """A run; ``log`` gets ``b`` and ``e`` with the frame before and after each put.

    After ``hold`` frames it does nothing more, until it is killed.
    """

    def note(text):
        if log is not None:
            os.write(log, text.encode())

    with open_sink(path, overwrite) as sink:
        done = sink.begin(what)
        if sink.finished:
            return
        for number, t in enumerate(t for t in what.frames if t not in done):
            if number == hold:
                signal.pause()
            note(f"b {t}\n")
            sink.put(t, image(t), {"seconds": t / 8})
            note(f"e {t}\n")
        sink.commit({})


def forked(action):
    """pid of a child that does ``action`` and leaves with 0, or with 1 after any error."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def sidelings(path):
    """What lies beside the result, for messages."""
    return sorted(
        p.name.removeprefix(path.name) for p in path.parent.iterdir() if p.name.startswith(path.name)
    )


def reference(path, what):
    """sha256 of an uninterrupted run of the same name, made in a folder beside."""
    folder = path.parent / "reference"
    folder.mkdir(exist_ok=True)
    write(folder / path.name, what)
    return digest(folder / path.name)


def events(path):
    """What the runs noted so far of the frames they began and ended."""
    return (path.parent / "log").read_text()


def kill_at_random(path, kills, seed):
    """Kill -9 at random moments until ``kills`` have hit; look at the final name all the while."""
    what = spec(25 * kills)
    expected = reference(path, what)
    chance = random.Random(seed)  # noqa: S311 - no secret
    log = os.open(path.parent / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    hits, halves = 0, 0
    while hits < kills:
        more, before = chance.randrange(20), events(path).count("e")
        child = forked(lambda more=more: write(path, what, log, hold=more + 3))
        while events(path).count("e") < before + more:
            halves += path.exists()
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.01))  # anywhere in the frames that follow, or while it starts
        os.kill(child, signal.SIGKILL)
        hits += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if path.exists():
            break
    halves += path.exists() and digest(path) != expected
    before = events(path).count("e")
    last = os.waitpid(forked(lambda: write(path, what, log)), 0)[1]
    noted = events(path).split("\n")[:-1]
    ended = [e for e in noted if e[0] == "e"]
    return {
        "hits": hits,
        "halves": halves,
        "last": last,
        "lost": len(ended) - len(set(ended)),
        "ended_before_last": before,
        "begun_in_vain": sum(e[0] == "b" for e in noted) - len(what.frames),
        "equal": digest(path) == expected,
        "left": sidelings(path),
    }


def kill_everywhere(path, over):
    """Kill a run at its 1st, 2nd, 3rd ... file operation (open, rename, remove ...), until one gets through.

    After each, the same run must end well. With ``over`` an older result stands in the place.
    """
    what, older = spec(3), spec(2, "cd" * 32)
    expected, old = reference(path, what), reference(path.with_name("old-" + path.name), older)
    if over:
        old = None
    bad = []
    for moment in range(1, 10_000):
        if over:
            write(path, older, overwrite=True)
            old = digest(path)
        child = forked(lambda moment=moment: (die_at(moment), write(path, what, overwrite=over)))
        through = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        between = digest(path)
        aside = (path.parent / f"{path.name}.replaced-by-xfusion").exists()
        if between not in (expected, old, None) or (over and between is None and not aside):
            bad.append(f"{moment}: half a result")
        left = sidelings(path)
        if os.waitpid(forked(lambda: write(path, what, overwrite=over)), 0)[1]:
            bad.append(f"{moment}: not resumed from {left}")
        if digest(path) != expected or sidelings(path) != ["", ".json"]:
            bad.append(f"{moment}: {left} became {sidelings(path)}")
        sweep(path)
        if through:
            return {"moments": moment, "bad": bad}
    return {"moments": 0, "bad": ["no run got through"]}


def sweep(path):
    write(path, spec(1, "ef" * 32), overwrite=True)
    for file in sorted(path.parent.glob(path.name + "*"), reverse=True):
        for inner in sorted(file.rglob("*"), reverse=True):
            inner.rmdir() if inner.is_dir() else inner.unlink()
        file.rmdir() if file.is_dir() else file.unlink()


def die_at(moment):
    """Kill this process at its ``moment``-th file operation from now."""
    count = 0

    def watch(event, args):
        nonlocal count
        if event == "open" or (event.startswith("os.") and event != "os.kill"):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def fill_disk(path, ballast_sizes, reserved):
    """A disk that fills up behind the run's back, once per size; then space is given."""
    if not reserved:
        del os.posix_fallocate
    what, ballast = spec(200), path.parent / "ballast"
    (path.parent.parent / "elsewhere").mkdir()
    expected = reference(path.parent.parent / "elsewhere" / path.name, what)
    outcomes = []
    for left in ballast_sizes:
        message, kept = None, 0
        with open_sink(path) as sink:
            sink.begin(what)
            fill(ballast, left)
            try:
                for t in what.frames:
                    sink.put(t, image(t), {"seconds": t / 8})
                    kept += 1
                sink.commit({})
            except OutputError as error:
                message = str(error)
        ballast.unlink()
        with open_sink(path) as sink:
            resumed = len(sink.begin(what))
        write(path, what)
        outcomes.append((message, kept, resumed, digest(path) == expected))
        sweep(path)
    return outcomes


def fill(ballast, left):
    """Fill the disk but for about ``left`` bytes."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size - left))


def limit_size(path, limits):
    """The largest file that is allowed shrinks during the run (RLIMIT_FSIZE), once per limit."""
    what = spec(200)
    expected = reference(path, what)
    outcomes = []
    for limit in limits:
        message, kept = None, 0
        with open_sink(path) as sink:
            sink.begin(what)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                for t in what.frames:
                    sink.put(t, image(t), {"seconds": t / 8})
                    kept += 1
            except OutputError as error:
                message = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with open_sink(path) as sink:
            resumed = len(sink.begin(what))
        write(path, what)
        outcomes.append((message, kept, resumed, digest(path) == expected))
        sweep(path)
    return outcomes


def refuse_size(path, limit):
    """No room for the file from the start; then there is."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    message = None
    try:
        write(path, spec(400))
    except OutputError as error:
        message = str(error)
    left = sidelings(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(path, spec(400))
    return {"message": message, "left": left, "sha": digest(path) == reference(path, spec(400))}


def race(path, races):
    """Two processes claim one output at the same moment; the winner holds it until both have spoken."""
    rounds = []
    for number in range(races):
        what = spec(3, f"{number:064x}")
        start, hold, speak = os.pipe(), os.pipe(), os.pipe()

        def run(what=what, start=start, hold=hold, speak=speak):
            os.close(start[1])
            os.close(hold[1])
            os.read(start[0], 1)
            try:
                with open_sink(path, overwrite=True) as sink:
                    sink.begin(what)
                    os.write(speak[1], json.dumps(["won", os.getpid()]).encode() + b"\n")
                    os.read(hold[0], 1)
            except OutputError as error:
                os.write(speak[1], json.dumps(["refused", os.getpid(), str(error)]).encode() + b"\n")

        children = [forked(run), forked(run)]
        os.close(start[1])
        os.close(speak[1])
        words = b""
        while words.count(b"\n") < 2:
            words += os.read(speak[0], 4096)
        os.close(hold[1])
        for child in children:
            os.waitpid(child, 0)
        for end in (start[0], hold[0], speak[0]):
            os.close(end)
        rounds.append([json.loads(line) for line in words.splitlines()])
    return rounds


def take_turns(path, processes, turns):
    """Many short runs on one name: counts how often two were inside at once."""
    inside = path.with_name("inside")

    def run():
        for _ in range(turns):
            while True:
                try:
                    with open_sink(path, overwrite=True) as sink:
                        sink.begin(spec(1))
                        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                        time.sleep(0.001)
                        inside.unlink()
                        break
                except OutputError:
                    time.sleep(0.0002)

    return [os.waitpid(child, 0)[1] for child in [forked(run) for _ in range(processes)]]


def die_holding(path):
    """A holder is killed; what the next one finds."""
    ready = os.pipe()

    def run():
        with open_sink(path) as sink:
            sink.begin(spec(3))
            sink.put(1, image(1))
            os.write(ready[1], b".")
            signal.pause()

    child = forked(run)
    os.read(ready[0], 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    stale = path.with_name(path.name + ".lock").exists()
    with open_sink(path) as sink:
        return {"stale": stale, "done": list(sink.begin(spec(3)))}


def answer(call):
    """Do one call in this process: what was found and what was said go to files."""
    found, said, name, path, *arguments = call
    with Path(said).open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    Path(found).write_text(json.dumps(globals()[name](Path(path), *arguments)))


if __name__ == "__main__":
    for line in sys.stdin:
        print(os.waitpid(forked(lambda call=line: answer(json.loads(call))), 0)[1], flush=True)
