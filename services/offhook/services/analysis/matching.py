"""Looking over a call by rules, where it can be stopped.

A regular expression can run for years on a text that its author did not foresee, and the text is the caller's. It
holds the interpreter lock for as long, so that no limit fires in its process: it has one of its own, which is killed.
"""

import math
import signal

import anyio
import anyio.to_process

from offhook.protocol.agent.analysis import ByRules
from offhook.protocol.analysis import Findings, analyse
from offhook.protocol.errors import OffhookError
from offhook.protocol.record import CallRecord

#: Seconds that rules may take, and how much longer their process lives when nobody is left to kill it.
RULE_SECONDS = 10.0
ALONE = 5.0


class RulesFailed(OffhookError):
    """The rules found nothing out within their time, or their process died; the message says which."""


async def find_by_rules(wanted: ByRules, record: CallRecord, processes: anyio.CapacityLimiter) -> Findings:
    """What the rules find. ``processes`` bounds how many are there. Raises ``RulesFailed``."""
    async with processes:
        try:
            with anyio.fail_after(RULE_SECONDS):
                # The process is kept for the next calls; to be cancelled is to be killed. A limiter of the library's
                # own would let the time for the rules pass while they wait for a process.
                return await anyio.to_process.run_sync(
                    _find, wanted, record, RULE_SECONDS + ALONE, cancellable=True, limiter=anyio.CapacityLimiter(1)
                )
        except TimeoutError:
            raise RulesFailed(
                f"the rules took more than {RULE_SECONDS:g} s: a regular expression tries too many ways to fit"
            ) from None
        except (anyio.BrokenWorkerProcess, OSError) as error:
            raise RulesFailed("the process for the rules ended, or could not be started") from error


def _find(wanted: ByRules, record: CallRecord, seconds: float) -> Findings:
    # The owner may be killed meanwhile. Without a handler of Python's the signal ends the process, lock or not.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds))
    try:
        return analyse(wanted, record)
    finally:
        signal.alarm(0)
