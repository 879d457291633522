"""The first process: starts workers and the front, passes on what it is told, starts again what dies.

It has neither an event loop nor threads, so that it can fork at any time; it holds the configuration and all modules that
it needs, which its children share until they write to them.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

from shipper.config.model import Config
from shipper.errors import ConfigError
from shipper.pipeline.observe import log
from shipper.pipeline.runner import CLEAN, FAILED
from shipper.workers.charge import Charge, ending, state_line
from shipper.workers.child import OURS, become
from shipper.workers.place import Place
from shipper.workers.post import Post, pair
from shipper.workers.rolling import Rolling

AT_ONCE = 2.0
"""Seconds that a process has to end after it was told twice, and the front after it was told once."""

Life = Callable[[Config, Place | None, Post], int]
"""What a forked process does: the configuration as it is now, its place (None: it is the front), its post."""


class Supervisor:
    """`run` returns the exit status: the largest of the workers'."""

    def __init__(
        self,
        config: Config,
        places: Sequence[Place],
        life: Life,
        *,
        front: bool,
        load: Callable[[], Config] | None,
        notify: Callable[[str], object],
        watched: float = 0.0,
    ) -> None:
        """`load` reads the configuration again for a reload; None refuses reloads. `watched` are the seconds in which
        somebody wants to hear of us, 0 when nobody does; workers have as long for a sign of life."""
        self.config = config
        self.life = life
        self.load = load
        self.notify = notify
        self.watched = watched
        self.front = Charge(None) if front else None
        self.workers = [Charge(place) for place in places]
        self.state = "starting"
        self.asked = 0
        """How often it was told to stop."""
        self.failed = False
        self.deadline: float | None = None
        """When what still runs is killed."""
        self.rolling = Rolling(self._take_over, self._rolled)
        self._beat = 0.0
        self._said = ""
        self._selector = selectors.DefaultSelector()
        self._hears, self._rings = socket.socketpair()

    # the whole
    def run(self) -> int:
        self._hears.setblocking(False)
        self._rings.setblocking(False)
        for number in (*OURS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # only the byte in the wakeup descriptor counts
        signal.set_wakeup_fd(self._rings.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._hears, selectors.EVENT_READ)
        if self.front is not None:
            self._start(self.front)
        else:
            self._start_workers()
        while not self._over():
            self._turn()
        return self._end()

    def _start_workers(self) -> None:
        for worker in self.workers:
            if worker.place is not None and worker.place.has_work(self.config):
                self._start(worker)
            else:
                worker.ended = True

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if key.fileobj is self._hears:
                for number in self._hears.recv(4096):
                    self._signalled(number)
            else:
                self._hear(key.data)
        self._bury()
        now = time.monotonic()
        for charge in self._all():
            if charge.due is not None and now >= charge.due:
                self._start(charge)
            if self.watched and charge.place is not None and charge.pid and now - charge.heard > self.watched:
                log.error(
                    "%s (process %d) gave no sign of life for %.0fs: killing it", charge.name, charge.pid, self.watched
                )
                charge.heard = now
                charge.kill()
        if self.deadline is not None and now >= self.deadline:
            for charge in self._all():
                charge.kill()
        if self.watched and now >= self._beat:
            self.notify("WATCHDOG=1")
            self._beat = now + self.watched / 2
        if self.state == "starting" and all(each.ready or each.ended for each in self.workers):
            self.state = "running"
            log.info("%d workers are ready", sum(each.ready for each in self.workers))
            self.notify("READY=1")
        if not self.asked:
            self.rolling.step(self.workers, self.front)
        self._tell()

    def _timeout(self) -> float | None:
        times = [each.due for each in self._all() if each.due is not None]
        times += [self.deadline] if self.deadline is not None else []
        times += [self._beat] if self.watched else []
        return max(min(times) - time.monotonic(), 0.0) if times else None

    def _over(self) -> bool:
        if any(each.pid is not None or each.due is not None for each in self.workers):
            return False
        return self.asked > 0 or all(each.ended for each in self.workers)

    def _end(self) -> int:
        self.notify("STOPPING=1")
        if self.front is not None and self.front.pid is not None:
            self.asked = max(self.asked, 1)
            self.front.say("stop")
            self.deadline = time.monotonic() + AT_ONCE
            while self.front.pid is not None:
                self._turn()
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._hears.close()
        self._rings.close()
        return max([FAILED if self.failed else CLEAN, *(each.status for each in self.workers)])

    def _all(self) -> list[Charge]:
        return [*([self.front] if self.front is not None else []), *self.workers]

    # birth
    def _start(self, charge: Charge) -> None:
        mine, theirs = pair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, OURS)  # the child must not tell us of its signals
        try:
            pid = os.fork()
            if not pid:
                self._forget()
                mine.close()
                become(lambda: self.life(self.config, charge.place, theirs))
        except OSError as error:  # no room for another process now
            mine.close()
            pause = charge.died(time.monotonic(), f"cannot be started: {error.strerror}")
            log.error("%s cannot be started: %s; trying again in %.0fs", charge.name, error.strerror, pause)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
            theirs.close()
        charge.started(pid, mine, time.monotonic())
        self._selector.register(mine, selectors.EVENT_READ, charge)

    def _forget(self) -> None:
        """In a child: whoever had the other end of somebody's post would keep it from hearing that we are gone."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._hears.close()
        self._rings.close()
        for other in self._all():
            if other.post is not None:
                other.post.close()

    # what is heard
    def _hear(self, charge: Charge) -> None:
        if charge.post is None:
            return
        lines, is_open = charge.post.hear()
        charge.heard = time.monotonic()
        for line in lines:
            if line == "ready":
                first, charge.ready, charge.ever_ready = not charge.ever_ready, True, True
                if charge is self.front and first and not self.asked:
                    self._start_workers()
            elif line == "ended":
                charge.ended = True
            elif line.startswith("reloaded "):
                self.rolling.said(charge, line == "reloaded ok")
        if not is_open:
            self._deaf(charge)

    def _deaf(self, charge: Charge) -> None:
        if charge.post is not None:
            self._selector.unregister(charge.post)
            charge.post.close()
            charge.post = None

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and self.load is not None:
            self.rolling.wanted = True

    def _stop(self) -> None:
        self.asked += 1
        if self.asked == 1:
            log.info("stopping all workers")
            self.state = "draining"
            self.notify("STOPPING=1")
            for charge in self.workers:
                if charge.due is not None:  # what it held when it died is read again
                    charge.due = None
                charge.say("stop")
        else:
            log.error("told to stop again: ending at once")
            self.deadline = self.deadline or time.monotonic() + AT_ONCE
            for charge in self.workers:
                charge.say("now")

    # death
    def _bury(self) -> None:
        for charge in self._all():
            if charge.pid is None:
                continue
            pid, raw = os.waitpid(charge.pid, os.WNOHANG)
            if pid:
                self._hear(charge)  # its last words
                self._deaf(charge)
                self._dead(charge, pid, os.waitstatus_to_exitcode(raw))

    def _dead(self, charge: Charge, pid: int, code: int) -> None:
        charge.pid, charge.ready = None, False
        charge.status = code if code >= 0 else FAILED
        self.rolling.died(charge)
        if charge.ended:
            log.info("%s has nothing left to do", charge.name)
            return
        if self.asked:
            if code < 0:
                log.error("%s (process %d) %s", charge.name, pid, ending(code))
            return
        if code == FAILED and not charge.ever_ready:
            self.failed = True  # it has said why
            self._stop()
            return
        pause = charge.died(time.monotonic(), f"{ending(code)}, starting again")
        log.error("%s (process %d) %s; starting it again in %.0fs", charge.name, pid, ending(code), pause)

    # reload
    def _take_over(self) -> None:
        """What is started from now on has it as well."""
        assert self.load is not None
        try:
            self.config = self.load()
        except (ConfigError, OSError) as error:
            log.error("workers that have to be started again will have the configuration of the start: %s", error)

    def _rolled(self) -> None:
        """Who had nothing to do may have something now."""
        for worker in self.workers:
            if worker.ended and worker.pid is None and worker.place is not None and worker.place.has_work(self.config):
                self._start(worker)

    def _tell(self) -> None:
        """The front knows what we know."""
        if self.front is None or not self.front.ready:
            self._said = ""
            return
        line = state_line(self.state, self.workers)
        if line != self._said and self.front.post is not None and self.front.post.say(line):
            self._said = line
