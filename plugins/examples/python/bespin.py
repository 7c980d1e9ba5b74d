"""Between the contract and a function from settings to outputs. It is yours to change."""

import inspect
import json

from componentize_py_types import Err
from wit_world.imports import failures, log
from wit_world.imports.secrets import Part_Secret, Part_Text


def rejected(because):
    """To raise when the author of the pipeline can fix it. The step is not tried again."""
    return Err(failures.Failure_Rejected(because))


def transient(because):
    """To raise when the same step may succeed later. It is tried again, if the pipeline says `retry`."""
    return Err(failures.Failure_Transient(because))


def info(line):
    """Logs what happens."""
    log.line(log.Level.INFO, line)


def text(*parts):
    """Parts of a text that the host puts together: texts, and secrets by their handles."""
    return [Part_Text(part) if isinstance(part, str) else Part_Secret(part) for part in parts]


def step(run):
    """Makes a function from settings to outputs the plugin's step; its parameters are the settings."""
    known = list(inspect.signature(run).parameters)

    class Guest:
        def run(self, settings):
            given = json.loads(settings)
            for name in given.keys() - known:
                raise rejected(f"with: {name}: there are {', '.join(known)}")
            try:
                return json.dumps(run(**given))
            except Err as error:
                raise failure(error) from None

    return Guest


def failure(error):
    match error.value:
        case failures.Fault_Rejected(because):
            return rejected(because)
        case failures.Fault_Transient(because):
            return transient(because)
        case failures.Fault_Denied(denied):
            return rejected(f"not granted: {denied.grant} {denied.value}; {denied.mend}")
        case _:
            return error
