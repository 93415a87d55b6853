"""What type checkers and help are told is what there is."""

import ast
import importlib.util
import inspect
from pathlib import Path

from conftest import ROOT


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stub_of_the_package_is_made_of_its_tables():
    stubs = tool("python_stubs")
    assert stubs.FILE.read_text() == stubs.text(), "stale: run python tools/python_stubs.py"
    ast.parse(stubs.text())


def test_the_package_has_what_its_stub_says(vt):
    named = ast.parse((ROOT / "python/vorticity/__init__.pyi").read_text()).body
    functions = {node.name for node in named if isinstance(node, ast.FunctionDef)}
    imported = {alias.asname for node in named if isinstance(node, ast.ImportFrom) and node.level for alias in node.names}
    assert functions | imported == {*vt.__all__, "Told"}
    assert all(getattr(vt, name).__doc__ for name in vt.__all__)
    assert (Path(vt.__file__).parent / "py.typed").exists()


def parameters(node):
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def test_the_stub_of_the_engine_is_the_engine(vt):
    from vorticity import _native

    body = ast.parse((ROOT / "python/vorticity/_native.pyi").read_text()).body
    told = {node.name: node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert set(told) == {name for name in dir(_native) if not name.startswith("_")}

    def same(node, value):
        assert parameters(node) == [name for name in inspect.signature(value).parameters if name != "self"], node.name

    for name, node in told.items():
        value = getattr(_native, name)
        if isinstance(node, ast.FunctionDef):
            same(node, value)
            continue
        members = {member.name: member for member in node.body}
        assert set(members) - {"__new__"} == {member for member in dir(value) if not member.startswith("_")}, name
        for member in members.values():
            if member.name != "__new__" and not any(getattr(d, "id", "") == "property" for d in member.decorator_list):
                same(member, getattr(value, member.name))


def test_measures_say_what_they_are(vt):
    signature = inspect.signature(vt.circulation)
    assert list(signature.parameters)[:6] == ["field", "data", "out", "shard", "device", "progress"]
    assert signature.parameters["verify_fraction"].kind is inspect.Parameter.KEYWORD_ONLY
    assert signature.parameters["points"].default == 1000
    for name in ("circulation", "curl", "asymmetry", "map", "planes", "spectrum", "stein", "lid", "jacobian", "likelihood"):
        said = getattr(vt, name).__doc__
        for part in ("Args:", "Returns:", "Raises:", "Source:", "seed (int): Seed of all randomness; by default 0.", "nat"):
            assert part in said, (name, part)
    assert "integral [nat]" in vt.circulation.__doc__ and vt.curl.__module__ == "vorticity"
