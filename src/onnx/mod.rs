//! ONNX files: any network. In: a file. Out: its nodes and constants, checked, and its values in f64.
mod beside;
mod budget;
mod call;
mod evaluate;
mod file;
mod import;
mod ops;
mod proto;
mod stored;
mod tensor;
mod view;
mod wire;

pub use budget::Budget;
pub use file::{File, Node, OPSETS, Port};
pub use import::{Imported, Roles, import, supported};
pub use ops::OPERATORS;
pub use stored::{Constant, Element};
pub use tensor::{Data, Tensor};
