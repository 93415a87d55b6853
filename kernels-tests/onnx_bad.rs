//! ONNX files that are wrong, each in one way: what is said of it, and that small files cannot ask for much memory or time. Every kind has
//! a control beside it that works.
use crate::onnx_bytes::{
    Model, beside, constant, float, floats, graph, int, ints, longs, node, number, part, tensor, text, typed,
};
use crate::readers;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use vorticity::dual::Dual;
use vorticity::onnx::{File, Roles, Tensor, import};

/// What is said of a file; none of one that becomes a graph.
fn said(bytes: Vec<u8>) -> Option<String> {
    let file = match File::of(Path::new("model.onnx"), bytes.into()) {
        Ok(file) => Arc::new(file),
        Err(e) => return Some(e.to_string()),
    };
    let roles = Roles {
        x: "x".into(),
        label: None,
        contexts: BTreeMap::new(),
        shape: vec![],
        output: file.outputs[0].name.clone(),
        channels: None,
    };
    import(&file, &roles).err().map(|e| e.to_string())
}

/// A file of one node that reads x.
fn one(op: &str, inputs: &[&str], attributes: &[Vec<u8>], constants: &[Vec<u8>]) -> Vec<u8> {
    on(&[1, 2, 6, 5], op, inputs, attributes, constants)
}

fn on(x: &[i64], op: &str, inputs: &[&str], attributes: &[Vec<u8>], constants: &[Vec<u8>]) -> Vec<u8> {
    let model = Model::of(x).node(op, inputs, &["y"], attributes);
    constants.iter().fold(model, |m, c| m.with(c.clone())).bytes()
}

/// The same whose constants are made by a node, not by x.
fn of_constants(op: &str, inputs: &[&str], attributes: &[Vec<u8>], constants: &[Vec<u8>]) -> Vec<u8> {
    let model = Model::of(&[1, 2]).node(op, inputs, &["k"], attributes);
    let model = constants.iter().fold(model, |m, c| m.with(c.clone()));
    model.node("ReduceMax", &["k"], &["m"], &[int("keepdims", 0)]).node("Add", &["x", "m"], &["y"], &[]).bytes()
}

/// What is wrong, the file, and what is said of it.
type Row = (&'static str, fn() -> Vec<u8>, &'static [&'static str]);

const MUCH: i64 = 1 << 30;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The file.
    ("empty", Vec::new, &["model.onnx: the file is empty"]),
    ("gzip", || b"\x1f\x8b\x08\x00rest".to_vec(), &["it looks like gzip"]),
    ("a page", || b"<!DOCTYPE html>".to_vec(), &["it looks like a web page"]),
    ("a pointer", || b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 45458109\n".to_vec(), &["Git LFS", "45458109"]),
    ("a pickle", || vec![0x80, 2, b'}', b'q'], &["it looks like a pickle"]),
    ("a field that no model has", || number(200, 1), &["not an ONNX file: no model has a field 200"]),
    ("no graph", || [number(1, 8), part(8, number(2, 18))].concat(), &["it has no graph"]),
    ("names that are no text", || { let mut m = Model::of(&[1, 2]); m.nodes.push([part(1, "x"), part(2, [0xff, 0xfe]), part(4, "Relu")].concat()); m.bytes() }, &["not an ONNX file", "UTF-8"]),
    ("a part longer than the whole", || part(7, [part(1, "abc"), vec![0x0a, 0x7f]].concat()), &["the field at byte 4 is longer than what it is part of"]),
    ("many small parts", || { let empty = part(1, []).repeat(2_000_000); [number(1, 8), part(7, empty), part(8, number(2, 18))].concat() }, &["has more small parts than a file of its size may have"]),
    // Versions and sets.
    ("no version", || [number(1, 8), part(7, Model::of(&[1, 2]).graph())].concat(), &["does not say which version"]),
    ("a version to come", || Model { opset: 99, ..Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]) }.bytes(), &["opset 99 of the default domain is newer than 28"]),
    ("an old version", || Model { opset: 3, ..Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]) }.bytes(), &["opset 3 of the default domain is older than 7"]),
    ("two versions", || [Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]).bytes(), part(8, number(2, 11))].concat(), &["says opset 18 of the default domain, and 11 too"]),
    ("operators of its own", || [Model::of(&[1, 2]).bytes(), part(25, [part(1, "Swoosh"), part(10, "mine")].concat())].concat(), &["defines operators of its own ('Swoosh' of 'mine')"]),
    ("sparse constants", || { let m = Model::of(&[1, 2]); [number(1, 8), part(7, [m.graph(), part(15, [])].concat()), part(8, number(2, 18))].concat() }, &["sparse initializers"]),
    // Names.
    ("a constant twice", || Model::of(&[1, 2]).with(floats("w", &[1], &[1.0])).with(floats("w", &[1], &[2.0])).bytes(), &["initializer 'w' is there twice"]),
    ("an input twice", || { let mut m = Model::of(&[1, 2]); m.inputs.push(typed("x", 1, &[1, 2])); m.bytes() }, &["input 'x' is there twice"]),
    ("a value made twice", || Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]).node("Abs", &["x"], &["y"], &[]).bytes(), &["node 'the Abs' makes 'y', which is there already"]),
    ("a value that is a constant", || on(&[1, 2], "Relu", &["x"], &[], &[floats("y", &[1], &[1.0])]), &["node 'the Relu' makes 'y', which is there already"]),
    ("nothing makes it", || one("Add", &["x", "nowhere"], &[], &[]), &["node 'the Add' reads 'nowhere', which nothing produces"]),
    ("a cycle", || Model::of(&[1, 2]).node("Add", &["x", "b"], &["y"], &[]).node("Relu", &["y"], &["b"], &[]).bytes(), &["node 'the Add' reads 'b' before node 'the Relu' makes it: the graph has a cycle"]),
    ("itself", || one("Add", &["x", "y"], &[], &[]), &["node 'the Add' reads what it makes"]),
    ("no output", || { let mut m = Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]); m.outputs.clear(); m.bytes() }, &["has no output"]),
    ("an output that nothing makes", || { let mut m = Model::of(&[1, 2]); m.outputs = vec![part(1, "z")]; m.bytes() }, &["output 'z' is made by no node"]),
    ("an output without x", || on(&[1, 2], "Relu", &["w"], &[], &[floats("w", &[1, 2], &[1.0, 2.0])]), &["output 'y': does not depend on x"]),
    // Constants.
    ("a negative size", || one("Add", &["x", "w"], &[], &[floats("w", &[-2], &[1.0])]), &["initializer 'w': has an axis of size -2"]),
    ("sizes that overflow", || one("Add", &["x", "w"], &[], &[floats("w", &[1 << 62, 1 << 62, 4], &[1.0])]), &["initializer 'w'", "is too large"]),
    ("sizes of no numbers that overflow", || one("Add", &["x", "w"], &[], &[floats("w", &[0, 1 << 30, 1 << 30, 1 << 30], &[])]), &["initializer 'w'", "is too large"]),
    ("too few bytes", || one("Add", &["x", "w"], &[], &[floats("w", &[5], &[1.0])]), &["initializer 'w': 1 numbers, expected 5 of type float"]),
    ("bytes that are no numbers", || one("Add", &["x", "w"], &[], &[tensor("w", &[1], 1, &[0; 5])]), &["initializer 'w': 5 bytes, expected 1 of type float"]),
    ("not a number", || one("Add", &["x", "w"], &[], &[floats("w", &[2, 1, 1], &[1.0, f32::NAN])]), &["initializer 'w': element 1 is NaN"]),
    ("text as a constant", || one("Add", &["x", "w"], &[], &[tensor("w", &[1], 8, &[])]), &["initializer 'w': elements of type string are not supported"]),
    ("numbers of 8 bits", || one("Add", &["x", "w"], &[], &[tensor("w", &[1], 17, &[1])]), &["elements of type float8e4m3fn are not supported"]),
    ("a type to come", || one("Add", &["x", "w"], &[], &[tensor("w", &[1], 77, &[1])]), &["element type 77 is not one of the standard's"]),
    ("a constant beside the file, of a node", || Model::of(&[1, 2]).node("Constant", &[], &["c"], &[constant("value", &beside("c", &[1], &[("location", "c")]))]).node("Add", &["x", "c"], &["y"], &[]).bytes(), &["node 'the Constant'", "only initializers may have"]),
    // x.
    ("x of whole numbers", || Model { inputs: vec![typed("x", 7, &[1, 2])], ..Model::of(&[]).node("Abs", &["x"], &["y"], &[]) }.bytes(), &["input 'x': is of type int64, expected floating-point numbers"]),
    ("x a sequence", || Model { inputs: vec![[part(1, "x"), part(2, part(4, []))].concat()], ..Model::of(&[]).node("Abs", &["x"], &["y"], &[]) }.bytes(), &["'x' is a sequence, a map or optional: expected a tensor"]),
    ("x of no numbers", || on(&[1, 0], "Relu", &["x"], &[], &[]), &["input 'x'", "[1, 0]", "expected 1 to"]),
    ("x beyond any memory", || on(&[1, 1 << 20, 1 << 20, 1 << 20], "Relu", &["x"], &[], &[]), &["input 'x'"]),
    ("x of a negative size", || on(&[1, -3], "Relu", &["x"], &[], &[]), &["'x' has an axis of size -3"]),
    ("x with three spatial axes", || on(&[1, 2, 3, 3, 3], "Relu", &["x"], &[], &[]), &["expected one to three axes beside the batch's"]),
    ("x in batches", || on(&[2, 3], "Relu", &["x"], &[], &[]), &["a batch of 2: export with a batch of 1"]),
    // Operators.
    ("a branch", || one("If", &["x"], &[graph("then_branch", &[]), graph("else_branch", &[])], &[]), &["node 'the If': If: control flow is not supported"]),
    ("a loop", || one("Loop", &["x"], &[graph("body", &[])], &[]), &["node 'the Loop': Loop: loops are not supported"]),
    ("a scan", || one("Scan", &["x"], &[graph("body", &[])], &[]), &["node 'the Scan'", "unrolled"]),
    ("noise", || one("RandomNormalLike", &["x"], &[], &[]), &["node 'the RandomNormalLike'", "no exact Jacobian"]),
    ("training", || one("Dropout", &["x", "", "on"], &[], &[tensor("on", &[], 9, &[1])]), &["node 'the Dropout'", "export after model.eval()"]),
    ("statistics of training", || one("BatchNormalization", &["x", "w", "w", "w", "w"], &[int("training_mode", 1)], &[floats("w", &[2], &[1.0, 2.0])]), &["node 'the BatchNormalization'", "export after model.eval()"]),
    ("another domain", || { let mut m = Model::of(&[1, 2]); m.nodes.push([node("Fir", &["x"], &["y"], &[]), part(7, "ai.example")].concat()); m.bytes() }, &["node 'the Fir': operator Fir of domain 'ai.example' is not one of the ONNX standard's"]),
    ("an unknown operator", || one("Conv3d", &["x"], &[], &[]), &["operator Conv3d is not supported; the nearest that is: Conv"]),
    ("whole numbers", || one("DynamicQuantizeLinear", &["x"], &[], &[]), &["node 'the DynamicQuantizeLinear'", "export the floating-point model"]),
    ("places", || one("NonZero", &["x"], &[], &[]), &["node 'the NonZero'", "depends on values"]),
    ("the largest", || one("ArgMax", &["x"], &[], &[]), &["node 'the ArgMax'", "ArgMax of something that depends on x has no derivative"]),
    ("an unknown attribute", || one("Relu", &["x"], &[int("leak", 1)], &[]), &["node 'the Relu'", "attribute 'leak' of Relu is not known"]),
    ("an attribute of another type", || one("Elu", &["x"], &[int("alpha", 1)], &[]), &["node 'the Elu'", "alpha is an integer, expected a float"]),
    ("an input too few", || one("Add", &["x"], &[], &[]), &["node 'the Add'", "is missing"]),
    // Convolutions.
    ("weights of other channels", || one("Conv", &["x", "w"], &[], &[floats("w", &[2, 3, 1, 1], &[1.0; 6])]), &["node 'the Conv'", "weight 'w' [2, 3, 1, 1] wants 3 input channels, x has 2"]),
    ("two pads", || one("Conv", &["x", "w"], &[ints("pads", &[1, 1])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the Conv'", "pads has 2 numbers, 2 spatial axes want 4"]),
    ("a kernel of another size", || one("Conv", &["x", "w"], &[ints("kernel_shape", &[3, 3])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["kernel_shape: [3, 3], the weights have [1, 1]"]),
    ("a kernel larger than the image", || one("Conv", &["x", "w"], &[], &[floats("w", &[1, 2, 7, 7], &[1.0; 98])]), &["node 'the Conv'", "do not hold a kernel of 7"]),
    ("a step of 0", || one("Conv", &["x", "w"], &[ints("strides", &[0, 1])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the Conv'", "are 1 or more"]),
    ("a kernel spread far", || one("Conv", &["x", "w"], &[ints("dilations", &[MUCH, 1]), ints("pads", &[MUCH, 0, MUCH, 0])], &[floats("w", &[2, 2, 2, 1], &[1.0; 8])]), &["node 'the Conv'", "at most 16384 are supported"]),
    ("pads beyond any image", || one("Conv", &["x", "w"], &[ints("pads", &[MUCH, 0, MUCH, 0])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the Conv'", "at most 1048576 are supported"]),
    ("pads beyond any number", || one("Conv", &["x", "w"], &[ints("pads", &[i64::MAX; 4])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the Conv'", "pads: 9223372036854775807"]),
    ("a group of none", || one("Conv", &["x", "w"], &[int("group", 0)], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the Conv'", "group: 0"]),
    ("weights of no channels", || one("Conv", &["x", "w"], &[], &[floats("w", &[0, 2, 1, 1], &[])]), &["node 'the Conv'"]),
    ("a step beyond any image", || one("ConvTranspose", &["x", "w"], &[ints("strides", &[MUCH, MUCH])], &[floats("w", &[2, 2, 1, 1], &[1.0; 4])]), &["node 'the ConvTranspose'", "at most 1048576 are supported"]),
    ("a window of nothing", || one("MaxPool", &["x"], &[], &[]), &["node 'the MaxPool'"]),
    // Shapes.
    ("two open sizes", || one("Reshape", &["x", "s"], &[], &[longs("s", &[-1, -1])]), &["node 'the Reshape'", "shape: -1"]),
    ("another number of numbers", || one("Reshape", &["x", "s"], &[], &[longs("s", &[1, 61])]), &["node 'the Reshape'", "[1, 2, 6, 5] cannot be seen as [1, 61]"]),
    ("an axis beyond the last", || one("Concat", &["x", "x"], &[int("axis", 4)], &[]), &["node 'the Concat'", "axis: 4 of a tensor of 4 axes"]),
    ("parts of another sum", || { let mut m = Model::of(&[1, 6]).node("Split", &["x", "s"], &["y", "z"], &[int("axis", 1)]).with(longs("s", &[2, 3])); m.outputs = vec![part(1, "y")]; m.bytes() }, &["node 'the Split'", "6 numbers in parts of [2, 3] for 2 outputs"]),
    ("an axis named twice", || one("Unsqueeze", &["x", "a"], &[], &[longs("a", &[1, 1])]), &["node 'the Unsqueeze'", "names an axis twice"]),
    ("no order", || one("Transpose", &["x"], &[ints("perm", &[0, 1, 1, 2])], &[]), &["node 'the Transpose'", "is no order of 4 axes"]),
    ("steps of 0", || one("Slice", &["x", "a", "b", "c", "d"], &[], &[longs("a", &[0]), longs("b", &[3]), longs("c", &[2]), longs("d", &[0])]), &["node 'the Slice'", "steps: 0"]),
    ("nothing of it", || one("Slice", &["x", "a", "b", "c"], &[], &[longs("a", &[3]), longs("b", &[3]), longs("c", &[2])]), &["node 'the Slice'", "an empty part"]),
    ("a place beyond the last", || one("Gather", &["x", "a"], &[int("axis", 1)], &[longs("a", &[2])]), &["node 'the Gather'", "indices: 2 of an axis of 2 numbers"]),
    ("a wide axis taken away", || one("Squeeze", &["x", "a"], &[], &[longs("a", &[1])]), &["node 'the Squeeze'", "is not of one number"]),
    ("shapes that do not meet", || one("Add", &["x", "w"], &[], &[floats("w", &[3], &[1.0; 3])]), &["node 'the Add'", "cannot be broadcast"]),
    ("an equation with a stranger", || one("Einsum", &["x"], &[text("equation", "abcd->abcde")], &[]), &["node 'the Einsum'", "has 'e' in its result, which is in no operand"]),
    ("an equation of another rank", || one("Einsum", &["x"], &[text("equation", "ab->ab")], &[]), &["node 'the Einsum'", "names other axes than the 4"]),
    ("matrices of another rank", || on(&[1, 2, 3], "Gemm", &["x", "w"], &[], &[floats("w", &[3, 1], &[1.0; 3])]), &["node 'the Gemm'", "expected matrices"]),
    ("matrices that do not meet", || on(&[1, 5], "MatMul", &["x", "w"], &[], &[floats("w", &[4, 3], &[1.0; 12])]), &["node 'the MatMul'", "an axis of 5 in one and 4 in the other"]),
    ("matrices that meet in one number", || on(&[1, 5], "MatMul", &["x", "w"], &[], &[floats("w", &[1, 3], &[1.0; 3])]), &["node 'the MatMul'", "an axis of 5 in one and 1 in the other"]),
    ("a bias that stretches", || on(&[1, 2], "Gemm", &["x", "w", "b"], &[], &[floats("w", &[2, 1], &[1.0; 2]), floats("b", &[3], &[1.0; 3])]), &["node 'the Gemm'", "cannot be stretched to [1, 1]"]),
    ("arithmetic with nothing", || on(&[1, 1], "Add", &["x", "w"], &[], &[floats("w", &[0], &[])]), &["node 'the Add'", "[1, 0]"]),
    ("the size of nothing", || one("Size", &[], &[], &[]), &["output 'y'"]),
    ("gains of other channels", || one("InstanceNormalization", &["x", "w", "w"], &[], &[floats("w", &[3], &[1.0; 3])]), &["node 'the InstanceNormalization'", "3 numbers, expected 2"]),
    ("gains that stretch", || on(&[1, 1], "LayerNormalization", &["x", "w"], &[], &[floats("w", &[3], &[1.0; 3])]), &["node 'the LayerNormalization'", "does not fit"]),
    ("a scalar", || one("ReduceSum", &["x"], &[int("keepdims", 0)], &[]), &["output 'y': []"]),
    // Much of little.
    ("x stretched", || one("Expand", &["x", "s"], &[], &[longs("s", &[MUCH, MUCH, 2, 6, 5])]), &["node 'the Expand'", "too large"]),
    ("x stretched less", || on(&[1, 1], "Expand", &["x", "s"], &[], &[longs("s", &[1, MUCH])]), &["node 'the Expand'", "at most 16777216 of them along an axis"]),
    ("x tiled", || one("Tile", &["x", "r"], &[], &[longs("r", &[1, 1, MUCH, MUCH])]), &["node 'the Tile'", "is too large"]),
    ("x padded", || one("Pad", &["x", "p"], &[], &[longs("p", &[0, 0, MUCH, MUCH, 0, 0, MUCH, MUCH])]), &["node 'the Pad'"]),
    ("pads that overflow", || one("Pad", &["x", "p"], &[], &[longs("p", &[0, 0, i64::MIN, 0, 0, 0, i64::MAX, 0])]), &["node 'the Pad'", "pads: -9223372036854775808"]),
    ("pads that leave nothing", || one("Pad", &["x", "p"], &[], &[longs("p", &[0, 0, -3, 0, 0, 0, -3, 0])]), &["node 'the Pad'"]),
    ("x resized", || one("Resize", &["x", "", "s"], &[], &[floats("s", &[4], &[1.0, 1.0, 1e8, 1.0])]), &["node 'the Resize'", "at most 1048576"]),
    ("x resized to nothing", || one("Resize", &["x", "", "s"], &[], &[floats("s", &[4], &[1.0, 1.0, 1e-8, 1.0])]), &["node 'the Resize'"]),
    ("a constant stretched", || of_constants("Expand", &["w", "s"], &[], &[floats("w", &[1], &[1.0]), longs("s", &[1 << 20, 1 << 10])]), &["node 'the Expand' (Expand)", "has 1073741824 numbers; a file of this size may have at most"]),
    ("a constant tiled", || of_constants("Tile", &["w", "s"], &[], &[floats("w", &[1], &[1.0]), longs("s", &[MUCH])]), &["node 'the Tile' (Tile)", "a file of this size may have at most"]),
    ("a constant padded", || of_constants("Pad", &["w", "s"], &[], &[floats("w", &[1], &[1.0]), longs("s", &[MUCH, 0])]), &["node 'the Pad' (Pad)", "a file of this size may have at most"]),
    ("a constant of a shape", || of_constants("ConstantOfShape", &["s"], &[], &[longs("s", &[MUCH])]), &["node 'the ConstantOfShape' (ConstantOfShape)", "a file of this size may have at most"]),
    ("a range", || of_constants("Range", &["a", "b", "c"], &[], &[tensor("a", &[], 7, &[0; 8]), tensor("b", &[], 7, &MUCH.to_le_bytes()), tensor("c", &[], 7, &1i64.to_le_bytes())]), &["node 'the Range' (Range)", "a file of this size may have at most"]),
    ("a range without end", || of_constants("Range", &["a", "b", "c"], &[], &[tensor("a", &[], 7, &[0; 8]), tensor("b", &[], 7, &MUCH.to_le_bytes()), tensor("c", &[], 7, &[0; 8])]), &["node 'the Range' (Range)", "is no range of numbers that fit"]),
    ("a constant resized", || of_constants("Resize", &["w", "", "s"], &[], &[floats("w", &[1, 1, 1, 1], &[1.0]), floats("s", &[4], &[1.0, 1.0, 1e6, 1e6])]), &["node 'the Resize' (Resize)", "a file of this size may have at most"]),
    ("one of many", || of_constants("OneHot", &["i", "d", "v"], &[], &[longs("i", &[0, 1]), longs("d", &[MUCH]), floats("v", &[2], &[0.0, 1.0])]), &["node 'the OneHot' (OneHot)", "a file of this size may have at most"]),
    ("an outer product", || of_constants("Einsum", &["w", "w", "w", "w"], &[text("equation", "a,b,c,d->abcd")], &[floats("w", &[64], &[1.0; 64])]), &["node 'the Einsum' (Einsum)", "a file of this size may have at most"]),
    ("a long equation", || of_constants("Einsum", &["w", "w", "w", "w", "w"], &[text("equation", "a,b,c,d,e->")], &[floats("w", &[64], &[1.0; 64])]), &["node 'the Einsum' (Einsum)"]),
    ("a constant joined to itself again and again", || {
        let names: Vec<String> = (0..=40).map(|i| format!("k{i}")).collect();
        let mut m = Model::of(&[1, 1]).with(floats("k0", &[1], &[1.0]));
        for i in 0..40 { m = m.node("Concat", &[&names[i], &names[i]], &[&names[i + 1]], &[int("axis", 0)]); }
        m.node("ReduceMax", &["k40"], &["m"], &[]).node("Add", &["x", "m"], &["y"], &[]).bytes()
    }, &["(Concat)", "a file of this size may have at most"]),
    ("x joined to itself again and again", || {
        let names: Vec<String> = (0..=40).map(|i| if i == 0 { "x".into() } else { format!("k{i}") }).collect();
        let mut m = Model::of(&[1, 2]);
        for i in 0..40 { m = m.node("Concat", &[&names[i], &names[i]], &[&names[i + 1]], &[int("axis", 1)]); }
        m.node("Relu", &["k40"], &["y"], &[]).bytes()
    }, &["(Concat)", "depends on x: expected 1 to"]),
    ("products of products", || {
        let side = 1000;
        let mut m = Model::of(&[1, 1]).with(longs("s", &[side, side])).node("ConstantOfShape", &["s"], &["k"], &[]);
        m = m.node("MatMul", &["k", "k"], &["l"], &[]).node("ReduceMax", &["l"], &["m"], &[]);
        m.node("Add", &["x", "m"], &["y"], &[]).bytes()
    }, &["node 'the MatMul' (MatMul)", "more than the host computes for a file of this size"]),
    ("many axes", || one("Reshape", &["x", "s"], &[], &[longs("s", &[[1; 40].as_slice(), &[60]].concat())]), &["node 'the Reshape'", "41 axes, at most 32 are supported"]),
];

#[test]
fn each_wrong_file_is_told_what_is_wrong_in_a_line() {
    let mut wrong = vec![];
    for (what, bytes, wanted) in ROWS {
        let began = Instant::now();
        let found = said(bytes()).unwrap_or_else(|| "nothing".into());
        let line = !found.chars().any(char::is_control) && found.len() < 1000;
        if !line || !wanted.iter().all(|w| found.contains(w)) || began.elapsed().as_secs() > 20 {
            wrong.push(format!("{what}: {found}\n    expected {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
}

/// What works, and is near to what does not.
#[rustfmt::skip]
const WORKS: &[(&str, fn() -> Vec<u8>)] = &[
    ("a file of one node", || one("Relu", &["x"], &[], &[])),
    ("x as it is", || { let mut m = Model::of(&[1, 2]); m.outputs = vec![part(1, "x")]; m.bytes() }),
    ("weights of 16 bits", || one("Mul", &["x", "w"], &[], &[tensor("w", &[2, 1, 1], 10, &[0, 0x3c, 0, 0x40])])),
    ("weights of 8 bits", || Model::of(&[1, 2]).with(tensor("q", &[2], 3, &[1, 0xff])).with(floats("s", &[], &[0.5])).node("DequantizeLinear", &["q", "s"], &["w"], &[]).node("Mul", &["x", "w"], &["y"], &[]).bytes()),
    ("dropout at rest", || one("Dropout", &["x"], &[], &[])),
    ("constants listed as inputs", || { let mut m = Model::of(&[1, 2]).with(floats("w", &[2], &[1.0, 2.0])).node("Mul", &["x", "w"], &["y"], &[]); m.inputs.push(typed("w", 1, &[2])); m.bytes() }),
    ("a domain by its other name", || { let mut m = Model::of(&[1, 2]); m.nodes.push([node("Relu", &["x"], &["y"], &[]), part(7, "ai.onnx")].concat()); m.bytes() }),
    ("the same version twice", || [Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]).bytes(), part(8, number(2, 18))].concat()),
    ("notes and training, which do nothing", || [Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]).bytes(), part(6, "notes"), part(14, [part(1, "a"), part(2, "b")].concat()), part(20, [0xff; 3])].concat()),
    ("numbers near zero", || one("Mul", &["x", "w"], &[], &[floats("w", &[2, 1, 1], &[f32::from_bits(1), 1e-40])])),
    ("a name with a line break", || Model { outputs: vec![part(1, "y\n")], ..Model::of(&[1, 2]).node("Relu", &["x"], &["y\n"], &[]) }.bytes()),
    ("constants that nobody reads", || one("Relu", &["x"], &[], &[floats("w", &[0], &[])])),
    ("a slope of its own", || one("LeakyRelu", &["x"], &[float("alpha", 0.3)], &[])),
];

#[test]
fn what_is_near_to_them_and_right_works() {
    for (what, bytes) in WORKS {
        assert_eq!(said(bytes()), None, "{what}");
        let file = File::of(Path::new("model.onnx"), bytes().into()).unwrap();
        let shape: Vec<usize> = file.inputs[0].shape.iter().flatten().map(|n| n.clone().unwrap()).collect();
        let x = (0..shape.iter().product::<usize>()).map(|i| Dual::constant(i as f64 - 1.0)).collect();
        let made = file.evaluate(BTreeMap::from([("x", Tensor::float(shape, x))])).unwrap();
        assert_eq!(made.len(), 1, "{what}");
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let model = Model::of(&[1, 2, 6, 5]).with(floats("w", &[3, 2, 1, 1], &[1.0; 6]));
    let bytes =
        model.node("Conv", &["x", "w"], &["h"], &[ints("pads", &[1; 4])]).node("Relu", &["h"], &["y"], &[]).bytes();
    assert_eq!(said(bytes.clone()), None);
    for cut in 0..bytes.len() {
        let found = said(bytes[..cut].to_vec()).expect("refused");
        let whole = ["the file is empty", "does not say which version", "it has no graph"];
        let known = found.contains("the file ends inside a field that begins at byte")
            || whole.iter().any(|w| found.contains(w));
        assert!(known, "{cut}: {found}");
    }
}

#[test]
fn files_beside_a_model_stay_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir_all(inside.join("deeper")).unwrap();
    std::fs::write(inside.join("w.bin"), [0; 16]).unwrap();
    std::fs::write(folder.path().join("outside.bin"), [0; 16]).unwrap();
    let absolute = folder.path().join("outside.bin").display().to_string();
    let path = inside.join("model.onnx");
    let opened = |weights: &[Vec<u8>]| {
        let model = weights.iter().fold(Model::of(&[1, 4]), |m, w| m.with(w.clone()));
        std::fs::write(&path, model.node("Relu", &["x"], &["y"], &[]).bytes()).unwrap();
        File::open(&path).map(drop).map_err(|e| e.to_string())
    };
    let said = |keys: &[(&str, &str)]| opened(&[beside("w", &[4], keys)]).unwrap_err();
    assert_eq!(opened(&[beside("w", &[4], &[("location", "w.bin")])]), Ok(()));
    assert_eq!(opened(&[beside("w", &[4], &[("location", "./w.bin"), ("offset", "0"), ("length", "16")])]), Ok(()));
    for location in ["../outside.bin", "deeper/../../outside.bin", &absolute, "/etc/hostname"] {
        let found = said(&[("location", location)]);
        assert!(found.contains("initializer 'w'") && found.contains("leaves the model's folder: refused"), "{found}");
    }
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[], "says no location"),
        (&[("location", "")], "initializer 'w'"),
        (&[("location", "none.bin")], "which is not beside model.onnx"),
        (&[("location", "deeper")], "which is not beside model.onnx"),
        (&[("location", "w.bin"), ("offset", "-4")], "offset '-4' is no number of bytes"),
        (&[("location", "w.bin"), ("offset", "4")], "wants bytes 4..20 of w.bin, which has 16"),
        (&[("location", "w.bin"), ("offset", "18446744073709551615")], "of w.bin, which has 16"),
        (&[("location", "w.bin"), ("length", "12")], "says 12 bytes, its shape and type take 16"),
    ];
    for (keys, wanted) in rows {
        let found = said(keys);
        assert!(found.contains(wanted), "{found}, expected {wanted}");
    }
    // Many tensors of the same bytes.
    let many: Vec<Vec<u8>> = (0..3).map(|i| beside(&format!("w{i}"), &[2], &[("location", "w.bin")])).collect();
    let found = opened(&many).unwrap_err();
    assert!(found.contains("initializer 'w2'") && found.contains("tensors overlap"), "{found}");
    #[cfg(unix)]
    for target in [folder.path().join("outside.bin"), "/etc/hostname".into()] {
        let link = inside.join("link.bin");
        drop(std::fs::remove_file(&link));
        std::os::unix::fs::symlink(target, &link).unwrap();
        let found = said(&[("location", "link.bin")]);
        assert!(found.contains("leaves the model's folder: refused"), "{found}");
    }
    let found = File::open(&inside).unwrap_err().to_string();
    assert!(found.contains("is not a regular file"), "{found}");
}

/// Graphs in graphs, and parts in parts: only what is read is looked into.
#[test]
fn nesting_costs_nothing() {
    let mut inner = vec![];
    for _ in 0..3000 {
        inner = part(1, node("If", &["c"], &["d"], &[graph("then_branch", &inner)]));
    }
    let found = said(one("If", &["x"], &[graph("then_branch", &inner)], &[])).unwrap();
    assert!(found.contains("control flow is not supported"), "{found}");
    let groups = [0x83, 0x06].repeat(5000);
    let found = said([number(1, 8), part(7, groups)].concat()).unwrap();
    assert!(found.contains("not an ONNX file"), "{found}");
}

/// Networks as exporters write them, cut off somewhere or with one bit turned: taken or refused, and soon.
#[test]
fn damaged_networks_are_taken_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "toy_mlp/model.onnx",
        "toy_mlp/legacy.onnx",
        "mixer/model.onnx",
        "dncnn/model.onnx",
        "spelled/legacy_opset11.onnx",
    ] {
        let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/onnx").join(name)).unwrap();
        for i in 0..40 {
            // Places that are spread over the file, and over its first part, where the nodes are.
            let at = i * 40_503 % whole.len().min(if i % 2 == 0 { 3000 } else { usize::MAX });
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (i % 8);
            for bytes in [&whole[..at], &flipped] {
                let began = Instant::now();
                readers::onnx(folder.path(), bytes);
                let seconds = began.elapsed().as_secs_f64();
                assert!(seconds < 30.0, "{name}, byte {at}: {seconds:.0} s");
            }
        }
    }
}
