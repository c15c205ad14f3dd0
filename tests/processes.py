"""Functions that run in a process of its own, because it will be killed."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

SECONDS = 120


def exit_code(target: Callable[..., Any], *given: Any, begun: Callable[[int], None] | None = None, **named: Any) -> int:
    """Calls `target(environment, *given, **named)` in a process that is forked from one which has imported its module, and gives its exit
    code: 0, or the negative number of the signal that has killed it.

    :param target: of a module; it gets this process's variables for AWS. :param begun: is told the process's id.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([target.__module__])
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    process = context.Process(target=target, args=(environment, *given), kwargs=named)
    process.start()
    if begun is not None:
        begun(process.pid or 0)
    process.join(SECONDS)
    assert process.exitcode is not None
    return process.exitcode
