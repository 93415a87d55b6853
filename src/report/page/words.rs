//! Formulas as HTML. In: those of columns and measures. Out: markup with their indices below the line.
use crate::figures::words::indices;
use maud::{Markup, html};

/// A formula of ours with its indices set below the line.
pub fn formula(text: &str) -> Markup {
    html! { @for (line, index) in indices(text) { (line) @if !index.is_empty() { sub { (index) } } } }
}
