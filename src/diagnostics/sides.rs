//! By which side blocks of J are found: columns J e_b by tangents, or rows J'e_a by cotangents. The numbers are the same up to
//! rounding, and so is how many evaluations there are; what these cost is not. In: a field. Out: the side, one for a whole run.
use crate::error::{Error, Result};
use crate::field::Field;
use crate::run::{Kind, Parameter};

/// How a measure is asked for a side.
pub(crate) const SIDES: Parameter = Parameter::new(
    "sides",
    Kind::Choice(&["auto", "columns", "rows"]),
    "How entries of the Jacobian are found: columns by tangents, rows by cotangents; auto: columns, or rows of a field that has exact \
     cotangents and no exact tangents",
)
.or("auto");

/// One side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// J e_b, forward mode.
    Columns,
    /// J'e_a, reverse mode.
    Rows,
}

impl Sides {
    /// What suits a field: on every network that was measured, on a software adapter, a cotangent took longer than a tangent
    /// (docs/BENCHMARKS.md), so that rows are for fields whose tangents are differences, or missing. A function of the field alone, so that shards and whoever
    /// goes on with a run choose alike.
    pub fn of(field: &dyn Field) -> Self {
        if field.has_adjoint() && !field.has_own_tangents() { Sides::Rows } else { Sides::Columns }
    }

    /// By the word that `--sides` has for it.
    pub(crate) fn asked(word: &str, field: &dyn Field) -> Self {
        let named = [Sides::Columns, Sides::Rows].into_iter().find(|sides| sides.name() == word);
        named.unwrap_or_else(|| Sides::of(field))
    }

    /// As manifests have it.
    pub fn name(self) -> &'static str {
        match self {
            Sides::Columns => "columns",
            Sides::Rows => "rows",
        }
    }

    /// Refuses rows of a field without an adjoint.
    pub(crate) fn require(self, field: &dyn Field) -> Result<()> {
        match self {
            Sides::Columns => Ok(()),
            Sides::Rows if field.has_adjoint() => Ok(()),
            Sides::Rows => Err(Error::invalid("sides", "rows, of a field that has no adjoint: expected columns")),
        }
    }

    /// Row and column of the entry that component i of product j of a block is.
    pub(crate) fn entry(self, i: usize, j: usize) -> [usize; 2] {
        match self {
            Sides::Columns => [i, j],
            Sides::Rows => [j, i],
        }
    }
}
