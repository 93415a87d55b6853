//! ONNX files: any network. In: a file. Out: its nodes and constants, checked, and its values in f64.
mod beside;
mod budget;
mod call;
mod evaluate;
mod file;
mod import;
mod ops;
mod proto;
mod reference;
mod roles;
mod stored;
mod tensor;
mod view;
mod wire;
mod write;

pub use budget::Budget;
pub use file::{File, Node, OPSETS, Port};
pub use import::{Imported, Roles, import, input, onto, refusal, supported};
pub use ops::{OPERATORS, Operator, REFUSED};
pub use reference::Reference;
pub use roles::{Found, Guess, Named, found};
pub use stored::{Constant, ELEMENTS, Element};
pub use tensor::{Data, Tensor};
pub use write::{Written, written};
