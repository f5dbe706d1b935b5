"""Finds and imports the application: at `module:attribute`, or by convention in the service's folder.

Django's and Django REST Framework's views are synchronous, so where a project has both `wsgi.py` and `asgi.py` the
former is taken; `--interface asgi` or a target says otherwise.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from pinnace._control import StartFailure
from pinnace._frameworks import Detected, detect

# Lines of a traceback that are shown.
TRACEBACK_LINES = 30
ATTRIBUTES = ("app", "application", "create_app", "make_app")
REQUIREMENT_FILES = ("pyproject.toml", "requirements.txt", "requirements/base.txt", "Pipfile", "setup.cfg")
# Frames of these are ours, or the machinery's, and hidden from a user's traceback.
HIDDEN = re.compile(
    r"<frozen importlib|<frozen runpy>|[/\\]importlib[/\\]__init__\.py$|[/\\]pinnace[/\\]_\w+\.py$|^<string>$"
)


class Found(NamedTuple):
    """An application and what is known of it."""

    target: str
    application: Any
    detected: Detected


def load(target: str | None, folder: Path, interface: str, *, factory: bool = False) -> Found:
    """The application of a service; raises StartFailure with what was tried."""
    if target is not None:
        return _load_target(target, folder, interface, factory=factory)
    return _load_by_convention(folder, interface)


def user_traceback(error: BaseException) -> list[str]:
    """The last lines of a traceback, without frames that are not the user's concern."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.__traceback__ = _visible(current.__traceback__)
        current = current.__cause__ or current.__context__
    lines = [line for block in traceback.format_exception(error) for line in block.rstrip("\n").split("\n")]
    return lines[-TRACEBACK_LINES:]


def _visible(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without hidden frames; the last frame stays where all are hidden but it."""
    kept = [step for step in _steps(trace) if not HIDDEN.search(step.tb_frame.f_code.co_filename)]
    result: TracebackType | None = None
    for step in reversed(kept):
        result = TracebackType(result, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return result


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


# ---------------------------------------------------------------- a target that was named


def _load_target(target: str, folder: Path, interface: str, *, factory: bool) -> Found:
    module_name, _, attribute = target.partition(":")
    if not module_name:
        raise StartFailure(
            "not-found", f"`{target}` names no module", hint="write `module:attribute`, such as `main:app`"
        )
    module = _import(module_name, folder)
    if not attribute:
        candidates = [name for name in ATTRIBUTES if hasattr(module, name)]
        if not candidates:
            raise StartFailure(
                "not-found",
                f"the module `{module_name}` has no application: none of {', '.join(ATTRIBUTES)}",
                hint=f"name it, such as `{module_name}:my_app`",
            )
        attribute = candidates[0]
    if factory:
        attribute = attribute.removesuffix("()") + "()"
    value = _resolve(module, module_name, attribute)
    found = _examine(f"{module_name}:{attribute}", value, interface)
    if isinstance(found, Found):
        return found
    raise StartFailure("not-found", f"`{module_name}:{attribute}` is no application: {found}", hint=_shape_hint())


def _import(module_name: str, folder: Path) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise StartFailure(
                "not-found",
                f"there is no module `{missing}`",
                detail=_tried_folders(folder),
                hint=_nearby_modules(folder, missing),
            ) from None
        raise _import_failure(module_name, error, folder) from None
    except (Exception, SystemExit) as error:
        raise _import_failure(module_name, error, folder) from None


def _resolve(module: Any, module_name: str, path: str) -> Any:
    value = module
    call = path.endswith("()")
    for name in path.removesuffix("()").split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            candidates = [name for name, item in vars(module).items() if detect(item) and not inspect.isclass(item)]
            candidates = [name for name in candidates if not name.startswith("_")][:5]
            hint = f"applications in it: {', '.join(candidates)}" if candidates else None
            raise StartFailure("not-found", f"`{module_name}` has no attribute `{name}`", hint=hint) from None
    return _call_factory(f"{module_name}:{path}", value) if call else value


def _call_factory(target: str, factory: Any) -> Any:
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise StartFailure(
            "import",
            f"the factory `{target}` raised {type(error).__name__}: {error}",
            detail=user_traceback(error),
            hint=_import_hint(error, Path.cwd()),
        ) from None


def _examine(target: str, value: Any, interface: str) -> Found | str:
    """An application out of a value, which may be a factory; a reason where it is none."""
    detected = detect(value)
    if detected is None and interface != "auto" and _takes(value, 3 if interface == "asgi" else 2):
        # What a decorator has hidden behind `*args`, its user knows.
        detected = Detected(interface, interface.upper())  # type: ignore[arg-type]
    if detected is None and _is_factory(value):
        value = _call_factory(target, value)
        target += "()"
        detected = detect(value)
    if detected is None:
        kind = type(value).__name__
        return f"it is a {kind} that is not called with (scope, receive, send) or (environ, start_response)"
    if interface != "auto":
        detected = Detected(interface, detected.framework, detected.double)  # type: ignore[arg-type]
    return Found(target, _single(value) if detected.double else value, detected)


def _is_factory(value: Any) -> bool:
    if inspect.isclass(value) or inspect.iscoroutinefunction(value):
        return False
    return _takes(value, 0) and not _takes(value, 32)


def _takes(value: Any, count: int) -> bool:
    """Whether it can be called with so many arguments."""
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _single(application: Any) -> Any:
    """An ASGI 2 application (called twice) as an ASGI 3 one."""

    async def single(scope: Any, receive: Any, send: Any) -> None:
        await application(scope)(receive, send)

    return single


# ---------------------------------------------------------------- by convention


def _load_by_convention(folder: Path, interface: str) -> Found:
    tried: list[str] = []
    for module_name, attributes in _candidates(folder, interface):
        if importlib.util.find_spec(module_name.partition(".")[0]) is None or not _exists(folder, module_name):
            tried.append(f"{module_name}:{attributes[0]}: there is no {_file_of(module_name)}")
            continue
        module = _import(module_name, folder)
        for attribute in attributes:
            if not hasattr(module, attribute):
                tried.append(f"{module_name}:{attribute}: the module has no `{attribute}`")
                continue
            found = _examine(f"{module_name}:{attribute}", getattr(module, attribute), interface)
            if isinstance(found, Found):
                return found
            tried.append(f"{module_name}:{attribute}: {found}")
    raise StartFailure(
        "not-found",
        f"no application was found in {folder}",
        detail=tried,
        hint='name it as `module:attribute`: `app = "…"` in pinnace.toml, or `pinnace serve module:attribute`',
    )


def _candidates(folder: Path, interface: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "main", ("app", "application", "create_app")
    yield "app", ("app", "application", "create_app")
    packages = _packages(folder)
    order = ("asgi", "wsgi") if interface == "asgi" else ("wsgi", "asgi")
    # A settings module named by the environment tells which package is the project.
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
    packages.sort(key=lambda name: name != settings)
    for name in packages:
        for kind in order:
            if (folder / _module_path(name) / f"{kind}.py").is_file() or not packages:
                yield f"{name}.{kind}", ("application", "app")
    for name in ("wsgi", "asgi"):
        yield name, ("application", "app")
    for name in packages:
        yield name, ("app", "application", "create_app", "make_app")
        for inner in ("main", "app"):
            if (folder / _module_path(name) / f"{inner}.py").is_file():
                yield f"{name}.{inner}", ("app", "application", "create_app")


def _packages(folder: Path) -> list[str]:
    """The packages in a folder, without those that hold tests or the environment."""
    skipped = {"tests", "test", "migrations", "docs", "scripts", "node_modules"}
    names = []
    for base in (folder, folder / "src"):
        if not base.is_dir():
            continue
        for entry in sorted(base.iterdir()):
            is_package = entry.is_dir() and any(
                (entry / name).is_file() for name in ("__init__.py", "wsgi.py", "asgi.py")
            )
            if is_package and entry.name.isidentifier() and entry.name not in skipped:
                names.append(entry.name)
    return names


def _module_path(name: str) -> Path:
    return Path(*name.split("."))


def _file_of(module_name: str) -> str:
    return f"{_module_path(module_name)}.py"


def _exists(folder: Path, module_name: str) -> bool:
    """Whether the module is the service's own; `main` or `app` elsewhere on the path is somebody else's."""
    path = _module_path(module_name)
    bases = (folder, folder / "src")
    return any((base / f"{path}.py").is_file() or (base / path / "__init__.py").is_file() for base in bases)


# ---------------------------------------------------------------- words for failures


def _import_failure(module_name: str, error: BaseException, folder: Path) -> StartFailure:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return StartFailure(
        "import",
        f"`{module_name}` cannot be imported: {text}",
        detail=user_traceback(error),
        hint=_import_hint(error, folder),
    )


def _import_hint(error: BaseException, folder: Path) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        if _exists(folder, error.name):
            return None
        return _absent_hint(name, folder)
    if type(error).__name__ == "ImproperlyConfigured" and "DJANGO_SETTINGS_MODULE" in str(error):
        settings = _settings_modules(folder)
        example = settings[0] if settings else "project.settings"
        return f'set DJANGO_SETTINGS_MODULE, such as `env = {{ DJANGO_SETTINGS_MODULE = "{example}" }}` in pinnace.toml'
    if isinstance(error, SystemExit):
        return 'importing it ended the interpreter: put what runs the program below `if __name__ == "__main__":`'
    if isinstance(error, KeyError) and error.args and str(error.args[0]).isupper():
        return f"set the environment variable {error.args[0]}: `env` or `secrets` in pinnace.toml"
    return None


def _absent_hint(name: str, folder: Path) -> str:
    """Where a distribution has to be named, or which environment has to be: that depends on who has made it."""
    where = f"`{name}` is not installed in {sys.prefix}"
    if ".pinnace/envs/" in sys.prefix:
        files = [file for file in REQUIREMENT_FILES if (folder / file).is_file()]
        return f"{where}: list it in {files[0]}" if files else f"{where}: list it in a requirements.txt of the service"
    if "PINNACE_SERVICE" in os.environ:
        return f"{where}: install it there, or name another environment with `venv` in pinnace.toml"
    own = folder / ".venv"
    if (own / "bin" / "python").exists() and own.resolve() != Path(sys.prefix).resolve():
        return f"{where}; the folder has an environment of its own: `--python .venv/bin/python`"
    return f"{where}: install it there, or name an interpreter that has it with --python"


def _settings_modules(folder: Path) -> list[str]:
    manage = folder / "manage.py"
    if manage.is_file():
        match = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)[\"']", manage.read_text(errors="replace"))
        if match:
            return [match.group(1)]
    return [f"{path.parent.name}.settings" for path in sorted(folder.glob("*/settings.py"))]


def _tried_folders(folder: Path) -> list[str]:
    return [f"looked in {entry or os.getcwd()}" for entry in sys.path[:3]] + [f"the service's folder is {folder}"]


def _nearby_modules(folder: Path, missing: str) -> str | None:
    modules = [path.stem for path in sorted(folder.glob("*.py")) if _has_application(path)]
    modules = [name for name in modules if name != missing][:5]
    return f"modules with an application in the folder: {', '.join(modules)}" if modules else None


def _has_application(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_text(errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return False
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return not names.isdisjoint(ATTRIBUTES)


def _shape_hint() -> str:
    return "where a decorator hides an application's arguments, say `--interface asgi` or `--interface wsgi`"
