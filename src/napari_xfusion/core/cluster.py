"""Workers on this machine or on others, by Dask. The only part that knows Dask, which is an extra.

The frames that are missing are cut into chunks of consecutive ones, of about a second each, and a few chunks per thread
of the workers are under way at a time. Dask does again what a lost worker had; the work itself, which is larger than a
chunk's numbers, travels once to each worker, also to those that come later. See docs/scale.md.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, Self

import cv2

from napari_xfusion._version import __version__
from napari_xfusion.core.allocator import keep_freed_memory
from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.types import Token
from napari_xfusion.core.work import PACKAGES, Benches, Look, Report, Work, chunk_after
from napari_xfusion.errors import ClusterError, FrameError, WriteError, XFusionError

try:
    import dask
    import distributed
    from distributed import Client, LocalCluster, WorkerPlugin
    from distributed.client import Future
    from distributed.versions import get_package_info
except ImportError:
    raise ClusterError(
        "dask.distributed",
        problem="it is not installed",
        hint="run pip install 'napari-xfusion[cluster]'",
    ) from None

CHUNK_SECONDS = 1.0
"""Of a chunk: long against the milliseconds that Dask needs for it, short against what a lost worker may cost."""
CHUNK_RATE = 50.0
"""Chunks per second of all workers at most, by longer chunks: a scheduler has milliseconds for each."""
FIRST_CHUNK, LONGEST_CHUNK = 4, 256
"""Frames of a chunk before any time is known, and at most."""
RETURNED_BYTES = 2**26
"""Of the frames that a chunk hands back where the worker does not see the output."""
AHEAD = 2
"""Chunks under way per thread of the workers: one at work and one that waits."""
ATTEMPTS = 3
"""Times that a frame fails before it is given up."""
LOOK_SECONDS, WORKERS_SECONDS = 0.2, 1.0
"""Between two looks whether to stop, and which workers there are."""
CONNECT_SECONDS = 10.0
"""To wait for a scheduler to answer."""
REPORT_SECONDS = 5.0
"""To wait for a report that a worker has finished, before others are looked at."""
PATIENCE = 60.0
"""Seconds without a worker after which a run ends."""
SAME = (*PACKAGES, "dask", "distributed")
"""Whose versions must be the same everywhere: they can change a result, or what workers understand."""
SLURM_OPTIONS = (
    "partition",
    "account",
    "cores",
    "processes",
    "memory",
    "walltime",
    "interface",
    "local_directory",
    "log_directory",
    "python",
)
"""Of a job, by their names in dask-jobqueue."""
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "200ms",
}
"""Dask looks at every thread a hundred times a second otherwise, for a page that nobody opens."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Say = Callable[[str], None]


class Cluster:
    """Workers of Dask, started or connected to when they are needed first; see ``core.work.Workers``.

    ``open_client`` gives a client and what else is to be closed. ``patience``: seconds to wait for a worker, None for
    ever. ``say`` receives sentences on what happens.
    """

    def __init__(
        self,
        open_client: Callable[[], tuple[Client, Any]],
        *,
        patience: float | None = PATIENCE,
        say: Say = lambda _: None,
    ) -> None:
        self._open_client, self._patience, self.say = open_client, patience, say
        self.client: Client | None = None
        """Of Dask; None before workers are needed."""
        self._owned: Any = None
        self._environment: dict[str, str | None] = {}
        """What Dask sets in the environment of this process for its workers to inherit, as it was before."""

    @classmethod
    def local(cls, workers: int, **settings: Any) -> Self:
        """So many processes on this machine, which share its cores."""
        return cls(lambda: _start_local(workers), **settings)

    @classmethod
    def at(cls, address: str, **settings: Any) -> Self:
        """The workers of a running scheduler, such as ``tcp://node:8786``."""
        return cls(lambda: (_connect(address), None), **settings)

    @classmethod
    def slurm(cls, jobs: int, options: Mapping[str, str], **settings: Any) -> Self:
        """Workers in so many jobs of Slurm, see ``slurm_cluster``; waits for the first as long as it takes."""

        def start() -> tuple[Client, Any]:
            made = slurm_cluster(options)
            made.scale(jobs=jobs)
            return Client(made, set_as_default=False), made

        return cls(start, patience=None, **settings)

    def close(self) -> None:
        """Leave the workers, or end those that were started."""
        client, self.client = self.client, None
        owned, self._owned = self._owned, None
        with _quiet():
            for each in (client, owned):
                if each is not None:
                    with suppress(Exception):  # what is gone needs no end
                        each.close()
        if owned is not None:
            _restore(self._environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reports(self, work: Work, missing: Sequence[int], stop: Token) -> Iterator[Report]:
        """See ``Workers.reports``; raises ClusterError where workers are lost or differ, WriteError, InputError."""
        with _quiet():
            client = self._connected()
            name = f"napari-xfusion-{uuid.uuid4().hex}"
            try:
                _check_scheduler(client)
                with _told(client):
                    client.register_plugin(_WorkPlugin(work, self._cards(work)), name=name)
                sharing = _Sharing(client, name, work, missing, patience=self._patience, say=self.say)
                sharing.begin()
                yield from sharing.reports(stop)
            finally:
                with suppress(Exception):  # the error that ends the run is the one to report
                    client.unregister_worker_plugin(name)

    def _connected(self) -> Client:
        """The client, once there is a worker."""
        if self.client is None:
            before = dict(os.environ)
            self.client, self._owned = self._open_client()
            changed = {name for name, value in os.environ.items() if before.get(name) != value}
            self._environment = {name: before.get(name) for name in changed}
            _restore(self._environment)  # and again at the end, because workers are started again
        client = self.client
        with _told(client):
            if not client.nthreads():
                self.say(f"waiting for workers at {_address(client)}")
                try:
                    client.wait_for_workers(1, timeout=self._patience)
                except TimeoutError:
                    raise _no_workers(client) from None
        return client

    def _cards(self, work: Work) -> int | None:
        """NVIDIA cards that workers of this machine share; None of other workers, which have an environment each."""
        if not isinstance(self._owned, LocalCluster):
            return None
        if work.plan.device == "cpu" or not METHODS[work.plan.method].takes_weights:
            return 0
        import torch  # noqa: PLC0415 - takes seconds

        return torch.cuda.device_count()


@dataclass(frozen=True)
class _Chunk:
    """Frames that one worker makes one after the other."""

    targets: tuple[int, ...]
    attempt: int = 1
    """How often its only frame is begun with this one."""
    avoid: str = ""
    """Address of a worker where it failed."""


class _Sharing:
    """The frames of one run on their way through the workers."""

    def __init__(
        self,
        client: Client,
        name: str,
        work: Work,
        missing: Sequence[int],
        *,
        patience: float | None,
        say: Say,
    ) -> None:
        self._client, self._name, self._work, self._say = client, name, work, say
        self._missing, self._next = list(missing), 0
        self._again: deque[_Chunk] = deque()
        self._flying: dict[Future, _Chunk] = {}
        self._done: SimpleQueue[Future] = SimpleQueue()
        self._seconds: float | None = None
        """Per frame, in the mean of late."""
        self._threads: dict[str, int] = {}
        """Of each worker, by address."""
        self._patience, self._seen, self._looked = patience, monotonic(), 0.0
        self._given_up: dict[int, XFusionError] = {}

    def begin(self) -> None:
        """Look at the workers and say who writes; raise the first problem that one has."""
        looks = self._look(None)
        for look in looks.values():
            if look.problem is not None:
                raise look.problem
        blind = ", ".join(sorted({look.host for look in looks.values() if not look.outputs}))
        hosts = ", ".join(sorted({look.host for look in looks.values()}))
        folder = next((str(claim.path.parent) for claim in self._work.claims.values()), "")
        writes = (
            f"{blind} cannot see {folder}, this process writes its frames"
            if blind
            else "they write the frames"
        )
        self._say(f"{len(looks)} worker{'s' * (len(looks) > 1)} on {hosts}; {writes}")
        self._threads = dict.fromkeys(looks, 1)

    def reports(self, stop: Token) -> Iterator[Report]:
        """See ``Workers.reports``."""
        halted = False
        try:
            while self._flying or (self._left() and not halted):
                if stop.is_set() and not halted:
                    halted = True
                    self._halt()
                self._count_workers()
                if not halted:
                    self._send()
                report = self._next_report()
                if report is not None:
                    yield report
                    if isinstance(report.error, WriteError):
                        raise report.error
        finally:
            if self._flying:
                self._halt()
        if self._given_up and not halted:
            raise self._failure()

    def _left(self) -> bool:
        return bool(self._again) or self._next < len(self._missing)

    def _send(self) -> None:
        """Keep the workers busy, and no more than that."""
        threads = sum(self._threads.values())
        while self._left() and len(self._flying) < AHEAD * threads:
            chunk = self._again.popleft() if self._again else self._cut(threads)
            others = [address for address in self._threads if address != chunk.avoid]
            where = {"workers": others, "allow_other_workers": True} if chunk.avoid and others else {}
            future = self._client.submit(_fuse, self._name, chunk.targets, pure=False, **where)
            self._flying[future] = chunk
            future.add_done_callback(self._done.put)

    def _cut(self, threads: int) -> _Chunk:
        """The next chunk of the frames that nobody has begun."""
        left = len(self._missing) - self._next
        wanted = max(CHUNK_SECONDS, threads / CHUNK_RATE)
        size = FIRST_CHUNK if self._seconds is None else int(wanted / max(self._seconds, 1e-9))
        fair = -(-left // (AHEAD * threads))  # so that the last chunks end together
        room = RETURNED_BYTES // max(self._work.frame_bytes, 1)
        size = max(1, min(size, LONGEST_CHUNK, fair, room))
        ahead = self._missing[self._next : self._next + size + 1]
        count = chunk_after(ahead, size, self._work.hr_times)
        self._next += count
        return _Chunk(tuple(ahead[:count]))

    def _next_report(self) -> Report | None:
        """The report of a chunk that is done, or None after a while; what of a chunk is not done begins again."""
        try:
            future = self._done.get(timeout=LOOK_SECONDS)
        except Empty:
            return None
        if future.status == "cancelled":
            raise _scheduler_lost(self._client)
        chunk, address, report = self._flying[future], "", Report("", 0.0)
        try:
            address, report = future.result(timeout=REPORT_SECONDS)
        except TimeoutError:  # its worker is busy, or was lost just now
            self._done.put(future)
            return None
        except distributed.KilledWorker as error:
            self._killed(chunk, error)
        except Exception as error:
            if self._client.status != "running":
                raise _scheduler_lost(self._client) from error
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            told = ClusterError("a worker", problem=problem, hint="look into the log of the workers")
            report = Report("", 0.0, failed=chunk.targets[0], error=told)
        del self._flying[future]
        self._learn(report)
        self._begin_again(chunk, report, address)
        return report

    def _begin_again(self, chunk: _Chunk, report: Report, address: str) -> None:
        """Put what a chunk did not make back: the frame that failed by itself, until it has failed too often."""
        if report.error is None or report.failed is None:
            return
        attempt = chunk.attempt if len(chunk.targets) == 1 else 1
        if attempt < ATTEMPTS:
            self._again.append(_Chunk((report.failed,), attempt + 1, address))
        else:
            self._given_up[report.failed] = report.error
        done = {made.index for made in report.frames} | {report.failed}
        rest = tuple(target for target in chunk.targets if target not in done)
        if rest:
            self._again.append(_Chunk(rest))

    def _killed(self, chunk: _Chunk, error: Exception) -> None:
        """Frames that several workers died of: each by itself, to find the one."""
        if len(chunk.targets) > 1:
            self._again.extend(_Chunk((target,)) for target in chunk.targets)
            return
        last = getattr(getattr(error, "last_worker", None), "address", "unknown")
        problem = "several workers died while they made it"
        hint = "look into the log of the workers; the memory may be too small"
        self._given_up[chunk.targets[0]] = ClusterError(f"the worker {last}", problem=problem, hint=hint)

    def _learn(self, report: Report) -> None:
        if report.frames:
            found = report.seconds / len(report.frames)
            self._seconds = found if self._seconds is None else (3 * self._seconds + found) / 4

    def _count_workers(self) -> None:
        """Look for workers now and then; raise ClusterError where there have been none for long."""
        now = monotonic()
        if now - self._looked < WORKERS_SECONDS:
            return
        if self._client.status not in ("running", "connecting"):
            raise _scheduler_lost(self._client)
        self._looked = now
        with _told(self._client):
            threads: dict[str, int] = dict(self._client.nthreads())
        self._leave_out(threads, [address for address in threads if address not in self._threads])
        self._threads = threads
        if threads:
            self._seen = now
        elif self._patience is not None and now - self._seen > self._patience:
            raise _no_workers(self._client)

    def _leave_out(self, threads: dict[str, int], new: list[str]) -> None:
        """Omit workers that came just now until they have the work, and retire those that cannot do it."""
        looks = self._look(new) if new else {}
        for address in new:
            look = looks.get(address)
            if look is None or look.problem is not None:
                del threads[address]
            if look is not None and look.problem is not None:
                self._say(f"left out: {look.problem}")
                with suppress(Exception):
                    self._client.retire_workers([address])

    def _look(self, addresses: list[str] | None) -> dict[str, Look]:
        """What workers see, all of them where no ``addresses`` are given.

        Omits those that were lost meanwhile (OSError), and those that have not received the work yet (KeyError).
        """
        with _told(self._client):
            found = self._client.run(_look, self._name, workers=addresses, on_error="return")
        return {
            address: _judged(address, each)
            for address, each in found.items()
            if not isinstance(each, OSError | KeyError)
        }

    def _halt(self) -> None:
        """Ask the workers to end after their frames; they report what they made until then."""
        self._again.clear()
        with suppress(Exception):
            self._client.run(_halt, self._name, on_error="ignore")

    def _failure(self) -> FrameError:
        target, error = next(iter(sorted(self._given_up.items())))
        named = ", ".join(map(str, sorted(self._given_up)[:8])) + (", ..." if len(self._given_up) > 8 else "")
        plural = "s" if len(self._given_up) > 1 else ""
        return FrameError(
            f"frame{plural} {named}",
            problem=f"failed {ATTEMPTS} times, frame {target} with: {error.subject} {error.problem}",
            hint=f"all others are saved; {error.hint}, and rerun the same command to resume",
        )


# On a worker.


class _WorkPlugin(WorkerPlugin):  # type: ignore[misc] # has no type
    """Brings the work of a run to each worker, also to those that come later."""

    def __init__(self, work: Work, cards: int | None) -> None:
        self._work, self._cards = work, cards

    def setup(self, worker: Any) -> None:
        """Prepare for chunks; nothing is opened yet."""
        if self._cards is not None:
            _share_machine(int(worker.name), self._cards)
        # Dask sets the variable to 1 unless told otherwise.
        cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        keep_freed_memory()
        self.benches = self._work.benches()

    def teardown(self, worker: Any) -> None:  # noqa: ARG002 - as Dask calls it
        """Close what is open."""
        self.benches.stop()


def _benches(name: str) -> Benches:
    benches: Benches = distributed.get_worker().plugins[name].benches
    return benches


def _fuse(name: str, targets: Sequence[int]) -> tuple[str, Report]:
    return distributed.get_worker().address, _benches(name).fuse(targets)


def _look(name: str, dask_worker: Any) -> tuple[dict[str, str | None], Look]:
    return _versions(), dask_worker.plugins[name].benches.look()


def _halt(name: str, dask_worker: Any) -> None:
    dask_worker.plugins[name].benches.stop()


def _share_machine(number: int, cards: int) -> None:
    """In a worker process of this machine: no Ctrl-C, which is for its parent, and one card."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cards:
        os.environ["CUDA_VISIBLE_DEVICES"] = card_of(
            number, os.environ.get("CUDA_VISIBLE_DEVICES", ""), cards
        )


def card_of(number: int, visible: str, count: int) -> str:
    """The card of worker ``number`` among the ``count`` that the environment shows as ``visible`` ('' for all)."""
    cards = [card for card in visible.split(",") if card] or [str(card) for card in range(count)]
    return cards[number % len(cards)]


# Connecting.


def _start_local(workers: int) -> tuple[Client, Any]:
    threads = str(max(1, _cores() // workers))
    with dask.config.set(QUIET):
        made = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # the usual port may be in use
            memory_limit=0,  # a run bounds its memory itself, and a worker that is paused or killed for it helps nobody
            silence_logs=logging.CRITICAL,
            env=dict.fromkeys(_ONE_THREAD, threads),
        )
    return Client(made, set_as_default=False), made


def _restore(environment: Mapping[str, str | None]) -> None:
    """Give variables the values that they had; None those that were not set."""
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        text = " ".join(str(error).split())[:200]
        raise ClusterError(
            address,
            problem=f"no scheduler of Dask answers there ({text or type(error).__name__})",
            hint="start one with dask scheduler, and give the address that it prints",
        ) from error


def slurm_cluster(options: Mapping[str, str]) -> Any:
    """A cluster of Slurm jobs by dask-jobqueue, none of which is submitted yet.

    ``options`` are SLURM_OPTIONS; a job has a worker with one thread for each of its cores unless ``processes`` says
    otherwise, ``memory`` is that of the job. Raises ClusterError.
    """
    try:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClusterError(
            "dask-jobqueue", problem="it is not installed", hint="run pip install 'napari-xfusion[cluster]'"
        ) from None
    unknown = sorted(options.keys() - set(SLURM_OPTIONS))
    counts = {name: options[name] for name in ("cores", "processes") if name in options}
    wrong = unknown or [f"{name}={count}" for name, count in counts.items() if not count.isdecimal()]
    if wrong:
        raise ClusterError(
            "the options of Slurm",
            expected=f"KEY=VALUE with {', '.join(SLURM_OPTIONS)}, cores and processes as numbers",
            found=", ".join(wrong),
            hint="give for instance partition=short cores=16 memory=64GB walltime=02:00:00; "
            "others belong in the configuration of dask-jobqueue",
        )
    cores = int(options.get("cores", 1))
    processes = int(options.get("processes", cores))
    rest = {name: value for name, value in options.items() if name not in ("partition", *counts)}
    if "partition" in options:
        rest["queue"] = options["partition"]
    return SLURMCluster(
        cores=processes,
        processes=processes,
        job_cpu=cores,
        scheduler_options={"dashboard_address": ":0"},  # the usual port may be in use
        **{"memory": "8GB", **rest},
    )


def _check_scheduler(client: Client) -> None:
    """Raise ClusterError where the scheduler or a worker has another Dask than this process."""
    with _told(client):
        found = client.get_versions()
    own = found["client"]["packages"]
    for name, each in {f"the scheduler {_address(client)}": found["scheduler"], **found["workers"]}.items():
        for package in ("dask", "distributed"):
            version = each["packages"].get(package)
            if version != own[package]:
                raise _other_version(name, package, version, own[package])


def _versions() -> dict[str, str | None]:
    """Of what must be the same in all processes, here."""
    known = get_package_info(SAME)
    python = ".".join(platform.python_version_tuple()[:2])
    return {"napari-xfusion": __version__, "python": python} | {name: known[name] for name in SAME}


def _judged(address: str, found: tuple[dict[str, str | None], Look] | Exception) -> Look:
    """What a worker sees, with the problem that it has in the words of this process."""
    worker = f"the worker {address}"
    if isinstance(found, Exception):
        problem = f"it cannot do the work: {' '.join(f'{type(found).__name__}: {found}'.split())}"
        error: XFusionError = ClusterError(
            worker, problem=problem, hint="use one environment on all machines"
        )
        return Look("", False, error)
    versions, look = found
    for package, own in _versions().items():
        if versions.get(package) != own:
            return look._replace(problem=_other_version(worker, package, versions.get(package), own))
    if look.problem is None:
        return look
    told = look.problem
    problem = f"{worker} on {look.host} does not read it: {told.problem}"
    hint = f"put it where every worker sees it, or leave out {look.host}"
    return look._replace(problem=type(told)(told.subject, problem=problem, hint=hint))


def _other_version(where: str, package: str, found: str | None, own: str | None) -> ClusterError:
    return ClusterError(
        where,
        expected=f"{package} {own} as in this process",
        found=found or "none",
        hint="use one environment on all machines",
    )


def _address(client: Client) -> str:
    return str(getattr(client.scheduler, "address", None) or getattr(client, "_start_arg", "the scheduler"))


def _scheduler_lost(client: Client) -> ClusterError:
    return ClusterError(
        f"the scheduler {_address(client)}",
        problem="the connection to it was lost",
        hint="frames that were reported are saved; start it again and rerun the same command to resume",
    )


def _no_workers(client: Client) -> ClusterError:
    return ClusterError(
        f"the scheduler {_address(client)}",
        problem="it has no workers",
        hint=f"start some with dask worker {_address(client)}, and rerun the same command",
    )


@contextmanager
def _told(client: Client) -> Iterator[None]:
    """Report what a call on all workers raises."""
    try:
        yield
    except XFusionError:
        raise
    except (OSError, TimeoutError) as error:
        raise _scheduler_lost(client) from error
    except Exception as error:  # whatever a worker raises where it cannot take the work
        raise ClusterError(
            f"a worker of {_address(client)}",
            problem=f"it cannot do the work: {' '.join(f'{type(error).__name__}: {error}'.split())}",
            hint=f"use one environment, with napari-xfusion {__version__}, on all machines",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of Dask on the terminal: what matters of it is an error of the run."""
    log = logging.getLogger("distributed")
    before, log.level = log.level, logging.CRITICAL + 1
    try:
        yield
    finally:
        log.setLevel(before)
