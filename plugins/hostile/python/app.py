"""Misbehaves on request, in Python: it evaluates what it is told to, with everything at hand that CPython has.

Modules have to be imported while the component is built; those that this CPython does not have are named instead.
"""

import builtins
import importlib
import json

from componentize_py_types import Err
from wit_world.imports import failures

MODULES = [
    *("ctypes", "encodings.idna", "os", "pathlib", "random", "select", "socket", "ssl"),
    *("subprocess", "sys", "threading", "time"),
]
missing = []
names = {"__builtins__": builtins, "missing": missing}
for module in MODULES:
    try:
        names[module.split(".")[0]] = importlib.import_module(module)
    except ImportError:
        missing.append(module)


class Guest:
    def run(self, settings):
        try:
            return json.dumps({"answer": str(eval(json.loads(settings)["try"], names))})
        except Exception as error:
            raise Err(failures.Failure_Rejected(f"{type(error).__name__}: {error}")) from None
