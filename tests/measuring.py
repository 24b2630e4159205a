"""Coverage that costs next to nothing: where coverage has begun with a trace function, probes take its place.

Coverage goes on to decide what is measured, and to keep and report it. Processes of tests that do not import this
package are measured as ever.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from coverage import Coverage
from coverage.collector import Collector
from coverage.core import Core

from tests import probes

# Bytecode with probes is kept beside the one without; that of other probes is not found.
_SUFFIX = f".probes-{Path(probes.__file__).stat().st_mtime_ns:x}.pyc"


class _Module:
    """What has been reached in one module."""

    def __init__(self, path: str, arcs: probes.Arcs) -> None:
        self.path = path
        self.reached = [False] * len(arcs)
        self._arcs = arcs

    def list_arcs(self) -> set[probes.Arc]:
        return {arc for arcs, reached in zip(self._arcs, self.reached, strict=True) if reached for arc in arcs}


_modules: dict[str, _Module] = {}  # by the name of the list that their probes write to


class _Loader(SourceFileLoader):
    """Loads a module with probes."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        tree, arcs = probes.add_probes(data, self._name_list())
        code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
        return code.replace(co_consts=(*code.co_consts, arcs))

    def get_code(self, fullname: str) -> CodeType | None:
        code = super().get_code(fullname)
        name = self._name_list()
        if code is not None and name not in _modules:
            module = _modules[name] = _Module(str(self.path), code.co_consts[-1])
            setattr(builtins, name, module.reached)
        return code

    def get_data(self, path: str) -> bytes:
        return super().get_data(_rename(path))

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        super().set_data(_rename(path), data, _mode=_mode)

    def _name_list(self) -> str:
        return f"reached in {self.name}"


def _rename(path: str) -> str:
    return path.removesuffix(".pyc") + _SUFFIX if path.endswith(".pyc") else path


class _Finder(MetaPathFinder):
    """Has the modules that coverage is to measure loaded with probes."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin is None:
            return None
        if not self._collector.should_trace(spec.origin, sys._getframe()).trace:
            return None
        spec.loader = _Loader(spec.loader.name, spec.origin)
        return spec


class _Tracer:
    """What coverage asks for what has been measured, as it would ask a trace function."""

    data: dict[str, set[probes.Arc]]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def activity(self) -> bool:
        for module in _modules.values():
            self.data.setdefault(module.path, set()).update(module.list_arcs())
        return True

    def reset_activity(self) -> None:
        pass

    def get_stats(self) -> None:
        pass


def measure_with_probes() -> None:
    """Replaces the trace function, if coverage has begun with one and nothing that it measures has been loaded."""
    coverage = Coverage.current()
    collector = coverage._collector if coverage else None
    if collector is None or not collector.core.systrace or collector.data:
        return
    collector.pause()
    initialize = Core.__init__

    def initialize_with_probes(core: Core, **named: Any) -> None:
        initialize(core, **named)
        _use_probes(core)

    Core.__init__ = initialize_with_probes  # type: ignore[assignment, method-assign]
    _use_probes(collector.core)
    collector.tracers = []
    collector._start_tracer()
    os.register_at_fork(after_in_child=_forget)
    sys.meta_path.insert(0, _Finder(collector))


def _use_probes(core: Core) -> None:
    core.tracer_class = _Tracer  # type: ignore[assignment]
    core.packed_arcs = core.systrace = False


def _forget() -> None:
    """In a copy of this process: what it has reached before is in the data of this one."""
    for module in _modules.values():
        module.reached[:] = [False] * len(module.reached)
