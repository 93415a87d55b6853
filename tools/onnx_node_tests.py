"""ONNX's own tests of operators, as `onnx` from PyPI brings them, run through this engine.

    python tools/onnx_node_tests.py pack OUT.safetensors [--small]   the tests as one file, for kernels-tests/onnx_nodes.rs
    python tools/onnx_node_tests.py pack assets/onnx/node_tests.safetensors.gz --small   those that the project keeps
    python tools/onnx_node_tests.py run                              packs all, runs them, writes docs/ONNX_NODE_TESTS.md

A test is a file of one operator (or of the functions that it expands to) with inputs and outputs. In the packed file, of test NAME:
  NAME|model: the file's bytes; NAME|near: relative and absolute tolerance, as the test states them;
  NAME|in|I, NAME|out|J: numbers (f32 as they are, other floats as f64, whole numbers as i64, truth values as u8, shapes of each);
  NAME|of|I: a file in which input I is x, and the others are constants: where x is no image of a batch of one, it comes as [1, N] and
  is reshaped to what the operator reads, and outputs are reshaped to [1, M] likewise: the device is asked about tensors of any rank.
What is no tensor of numbers (sequences, texts, 8-bit floats) is left out: such files must be refused by what they say of themselves.
"""

import argparse
import collections
import gzip
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent
FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
SMALL = 6000  # bytes of a test that the project keeps


def tests():
    import onnx.backend.test.loader as loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loader.load_model_tests(kind="node")


def numbers(value):
    """As the packed file has them; none of what has no numbers."""
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return None
    value = np.asarray(value)
    if value.dtype == np.bool_:
        return value.astype(np.uint8)
    if value.dtype == np.float32:
        return value
    if value.dtype.name in ("float16", "bfloat16", "float64"):
        return value.astype(np.float64)
    if value.dtype.kind in "iu" and value.dtype.itemsize >= 1 and value.dtype.name.lstrip("uint").isdigit():
        if value.dtype == np.uint64 and (value > np.iinfo(np.int64).max).any():
            return None
        return value.astype(np.int64)
    return None


def is_image(shape):
    return 2 <= len(shape) <= 4 and shape[0] == 1


def facing(model, index, values, results):
    """The file with input `index` as x, and values of the others."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    before, after = [], []
    x = graph.input[index]
    shape = numbers(values[index]).shape
    if not is_image(shape):
        name, flat = x.name, x.name + ".flat"
        graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), flat + ".shape"))
        before.append(helper.make_node("Reshape", [flat, flat + ".shape"], [name], allowzero=1) if reshapes(made) >= 14
                      else helper.make_node("Reshape", [flat, flat + ".shape"], [name]))
        graph.input[index].CopyFrom(helper.make_tensor_value_info(flat, x.type.tensor_type.elem_type, [1, int(np.prod(shape))]))
    for j, y in enumerate(list(graph.output)):
        result = results[j]
        if result is None or result.dtype.kind != "f" or not y.HasField("type") or not y.type.HasField("tensor_type") or is_image(result.shape):
            continue
        flat = y.name + ".flat"
        graph.initializer.append(numpy_helper.from_array(np.array([1, -1], np.int64), flat + ".shape"))
        after.append(helper.make_node("Reshape", [y.name, flat + ".shape"], [flat]))
        graph.output[j].CopyFrom(helper.make_tensor_value_info(flat, y.type.tensor_type.elem_type, [1, result.size]))
    for i, port in reversed(list(enumerate(graph.input))):
        if i != index and i < len(values):
            graph.initializer.append(constant(port.name, values[i]))
            del graph.input[i]
    nodes = before + list(graph.node) + after
    del graph.node[:]
    graph.node.extend(nodes)
    return made


def constant(name, value):
    if isinstance(value, TensorProto):
        tensor = TensorProto()
        tensor.CopyFrom(value)
        tensor.name = name
        return tensor
    return numpy_helper.from_array(np.asarray(value), name)


def reshapes(model):
    return max([o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] or [0])


def bytes_of(model):
    return np.frombuffer(model.SerializeToString(), np.uint8)


def packed(small):
    tensors = {}
    for test in tests():
        (given, wanted), = test.data_sets
        stored, given, wanted = given, [numbers(v) for v in given], [numbers(v) for v in wanted]
        size = test.model.ByteSize() + sum(v.nbytes for v in given + wanted if v is not None)
        if small and size > SMALL:
            continue
        tensors[f"{test.name}|model"] = bytes_of(test.model)
        tensors[f"{test.name}|near"] = np.array([test.rtol, test.atol])
        for kind, all in (("in", given), ("out", wanted)):
            tensors |= {f"{test.name}|{kind}|{i}": np.array(v, order="C") for i, v in enumerate(all) if v is not None}
        if any(v is None for v in given):
            continue
        for i, port in enumerate(test.model.graph.input):
            if i < len(given) and port.type.tensor_type.elem_type in FLOATS and given[i].size and given[i].dtype.kind == "f":
                tensors[f"{test.name}|of|{i}"] = bytes_of(facing(test.model, i, stored, wanted))
    return tensors


def pack(out, small):
    save_file(packed(small), out, metadata={"onnx": onnx.__version__})
    if out.endswith(".gz"):
        Path(out).write_bytes(gzip.compress(Path(out).read_bytes(), 9, mtime=0))


OUTCOMES = {
    "device": "passed on the device",
    "host": "passed by the interpreter; nothing in it has a derivative by an input",
    "interpreted": "passed by the interpreter; refused where an input is x",
    "refused": "refused by the reader or the interpreter",
    "failed": "failed",
}


def reason(text):
    """Of a refusal what does not name the test's own nodes and sizes."""
    text = re.sub(r"^test\.onnx: ", "", text)
    text = re.sub(r"node '[^']*( of '[^']*')?'( \([A-Za-z0-9]+\))?: ", "", text)
    text = re.sub(r"^(Concat|Slice|Split|Where)[^:]* of '.*?': ", "", text)
    text = re.sub(r"^'[^']*'(:| is)", r"an input or output\1", text)
    text = re.sub(r"initializer '[^']*': element \d+", "a constant", text)
    text = re.sub(r"input '[^']*':", "an input:", text)
    return re.sub(r"\[[-\d., a-z]*\]", "[..]", re.sub(r"\b\d+ pixels", "n pixels", text)).replace("|", "\\|")


def table(rows):
    return "\n".join("| " + " | ".join(str(c) for c in row) + " |" for row in rows)


def written(report):
    """The list for docs, of the lines that the engine wrote: name, operator, outcome, reason, split by tabs."""
    rows = [line.split("\t") for line in report.splitlines()]
    counts = collections.Counter(row[2] for row in rows)
    operators = sorted({row[1] for row in rows})
    per = collections.Counter((row[1], row[2]) for row in rows)
    passed = [o for o in operators if per[o, "device"] + per[o, "host"] + per[o, "interpreted"]]
    reasons = collections.defaultdict(list)
    for name, operator, outcome, why in rows:
        if outcome in ("interpreted", "refused"):
            reasons[outcome, reason(why)].append(name.removeprefix("test_"))
    kinds = [k for k in OUTCOMES if k != "failed" or counts[k]]
    parts = [
        "# ONNX's own tests of operators",
        f"The {len(rows)} tests of `onnx.backend.test` (kind `node`) in onnx {onnx.__version__}, by `tools/onnx_node_tests.py run`.",
        "**On the device** means: some input of real numbers was x, the others were constants; values and a Jacobian-vector product of every"
        " output of real numbers agreed in both families of kernels (2e-5 and 1e-4 of the largest) with the f64 interpreter, values with the"
        " test's own outputs, the twin of the graph with the interpreter to 1e-6. Where x is no image of a batch of one it was reshaped from"
        " `[1, N]` in front of the operator, and outputs likewise behind it. The interpreter's values agreed with the test's outputs to 1e-5"
        " (4e-3 and 4e-2 for outputs of 16 bits), its derivatives with difference quotients.",
        "**By the interpreter** means that the operator works on what does not depend on x: constants, shapes, the label, texts.",
        table([["outcome", "tests"], ["---", "---"]] + [[OUTCOMES[k], counts[k]] for k in kinds]),
        "## By operator",
        "Of tests that are expanded to other operators, the last of them. An operator that is not here passed no test.",
        table([["operator", "device", "host", "refused as x", "refused"], ["---"] * 5]
              + [[f"`{o}`"] + [per[o, k] or "" for k in list(OUTCOMES)[:4]] for o in passed]),
    ]
    for kind, title in (("interpreted", "Refused where an input is x"), ("refused", "Refused")):
        of_kind = sorted(((why, names) for (k, why), names in reasons.items() if k == kind), key=lambda r: (-len(r[1]), r[0]))
        parts.append(f"## {title}")
        parts.append(table([["reason", "tests"], ["---"] * 2]
                           + [[why, f"{len(names)}: " + ", ".join(names)] for why, names in of_kind]))
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pack", "run"])
    parser.add_argument("out", nargs="?")
    parser.add_argument("--small", action="store_true", help=f"only tests of at most {SMALL} bytes")
    asked = parser.parse_args()
    if asked.what == "pack":
        pack(asked.out or sys.exit("where to?"), asked.small)
        return
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder, "tests.safetensors"), Path(folder, "report.md")
        pack(file, False)
        told = {"VORTICITY_NODE_TESTS": str(file), "VORTICITY_NODE_REPORT": str(report)}
        command = ["cargo", "test", "--release", "--test", "kernels", "--", "onnx_nodes::", "--nocapture"]
        subprocess.run(command, cwd=ROOT, env=os.environ | told, check=True)
        Path(ROOT, "docs/ONNX_NODE_TESTS.md").write_text(written(report.read_text()))


if __name__ == "__main__":
    main()
