"""A model directory with an ONNX file: what scripts of this folder write that do not write safetensors.

    from onnx_directory import Directory, export

In: a module, or a file's bytes; what the file cannot say; a model card. Out: `model.onnx`, `model.toml`, `README.md` and
whatever else is to lie beside them; the folder appears whole or not at all.
"""

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("model.onnx", "model.toml", "README.md")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def toml(value) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case dict():
            return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(toml(v) for v in value) + "]"
        case _:
            return repr(value)


@dataclass
class Directory:
    """A model directory in the making: the network, what its file cannot say, the model card, and files beside them."""

    onnx: bytes
    facts: dict
    card: str
    beside: dict[str, bytes] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """All of it; `[conditions]` and `[provenance]` are the tables among the facts."""
        tables = {name: self.facts[name] for name in ("conditions", "provenance") if name in self.facts}
        lines = [f"{key} = {toml(value)}" for key, value in self.facts.items() if key not in tables]
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
        files = {NAMES[0]: self.onnx, NAMES[1]: ("\n".join(lines) + "\n").encode(), NAMES[2]: self.card.encode()}
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            made = Path(folder) / out.name
            made.mkdir()
            for name, data in (files | self.beside).items():
                (made / name).write_bytes(data)
            made.rename(out)
        print(f"{out}: {', '.join([*files, *self.beside])}")
        print(f"{NAMES[0]}: {len(self.onnx)} bytes, SHA-256 {sha256(self.onnx)}")


def export(module, arguments: tuple, inputs: list[str], output: str, open_batch: bool = False) -> bytes:
    """A module as an ONNX file, without the exporter's traces (paths of this machine); for batches of one, or of any size."""
    import onnx
    import torch

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path, sizes = str(Path(folder) / NAMES[0]), tuple({0: "batch"} for _ in arguments) if open_batch else None
        torch.onnx.export(module.eval(), arguments, path, dynamo=True, external_data=False, verbose=False,
                          input_names=inputs, output_names=[output], dynamic_shapes=sizes)
        return plain(onnx.load(path))


def plain(model) -> bytes:
    """An ONNX model without what its exporter tells of itself."""
    graph = model.graph
    for thing in [model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output]:
        for field in ("metadata_props", "doc_string"):
            if field in thing.DESCRIPTOR.fields_by_name:
                thing.ClearField(field)
    return model.SerializeToString()
