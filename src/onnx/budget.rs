//! What the host may compute of a file: how many numbers a value may have, all of them together, and how many products. In: shapes and
//! counts, before anything is allocated. Out: leave, or a sentence. A small file cannot ask for much.
use super::tensor::count;
use crate::error::{Error, Result};
use std::cell::Cell;

/// Numbers that any file may ask for, and besides for each of its bytes: weights are copied a few times as they are folded.
const NUMBERS: usize = 1 << 22;
const NUMBERS_A_BYTE: usize = 2;

/// The same of products: each weight is multiplied with as many tokens.
const PRODUCTS: u64 = 1 << 28;
const PRODUCTS_A_BYTE: u64 = 1 << 12;

/// Axes that a tensor may have.
pub(super) const AXES: usize = 32;

/// Numbers that the interpreter holds of one value, whatever the file.
const INTERPRETED: usize = 1 << 26;

/// Leave to compute, which is spent.
#[derive(Debug)]
pub struct Budget {
    /// Numbers of one value.
    most: usize,
    /// Numbers of all values to come.
    left: Cell<usize>,
    /// Products to come.
    products: Cell<u64>,
}

impl Budget {
    /// For what a file has computed of its constants and of the label: by its bytes.
    pub fn of(bytes: usize) -> Self {
        let most = NUMBERS.saturating_add(bytes.saturating_mul(NUMBERS_A_BYTE));
        let products = PRODUCTS.saturating_add(PRODUCTS_A_BYTE.saturating_mul(bytes as u64));
        Self { most, left: Cell::new(most), products: Cell::new(products) }
    }

    /// For the interpreter, which is asked for the whole network: bounded for each value alone.
    pub fn interpreting() -> Self {
        Self { most: INTERPRETED, left: Cell::new(usize::MAX), products: Cell::new(u64::MAX) }
    }

    /// For tables that say where numbers lie, and weights that are laid out anew: so many of each, and of all together.
    pub(super) fn tables(each: usize, all: usize) -> Self {
        Self { most: each, left: Cell::new(all), products: Cell::new(0) }
    }

    /// Numbers of a tensor of this shape, if there may be as many.
    pub fn numbers(&self, shape: &[usize]) -> Result<usize> {
        if shape.len() > AXES {
            return Err(Error::invalid("shape", format!("{} axes, at most {AXES} are supported", shape.len())));
        }
        let n = count(shape)?;
        match n <= self.most.min(self.left.get()) {
            true => Ok(n),
            false => Err(self.refused(&format!("{shape:?} has {n} numbers"))),
        }
    }

    /// Spends that many numbers.
    pub fn spend(&self, n: usize) -> Result<()> {
        match self.left.get().checked_sub(n).filter(|_| n <= self.most) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.refused(&format!("{n} numbers more"))),
        }
    }

    /// Spends as many products as these sizes make.
    pub fn multiply(&self, sizes: &[usize]) -> Result<()> {
        let n = sizes.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64));
        match n.and_then(|n| self.products.get().checked_sub(n)) {
            Some(left) => {
                self.products.set(left);
                Ok(())
            }
            None => {
                let message = format!("{sizes:?} products, more than the host computes for a file of this size");
                Err(Error::invalid("work", message))
            }
        }
    }

    fn refused(&self, found: &str) -> Error {
        let message = format!(
            "{found}; a file of this size may have at most {} at once, {} are left",
            self.most,
            self.left.get()
        );
        Error::invalid("shape", message)
    }
}
