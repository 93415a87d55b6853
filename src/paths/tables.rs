//! Paths on the device: a step each, one workgroup per lane, midpoints and steps out; and the tables that their shaders read.
//! In: paths, and the anchor of every lane of a tile. Out: steps and buffers of a program, the rows to upload for a tile,
//! and in each lane where its rows are.
use super::{Anchor, ClosedPath, Lane};
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Builder, Grid, Kernel, LaneRole, Role, Step};
use std::sync::Arc;

/// A table that a path's shader reads: rows of D words, padded to blocks of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Clean images, `x0` of the shader: a row for each anchor, which all paths share.
    Images,
    /// A table of the path's own by the name of the shader's variable: a row for each anchor.
    PerAnchor(&'static str),
    /// A table of the path's own by the name of the shader's variable: so many rows for each lane.
    PerLane(&'static str, usize),
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Images => "x0",
            Table::PerAnchor(name) | Table::PerLane(name, _) => name,
        }
    }

    /// Rows of one lane.
    fn rows(self) -> usize {
        match self {
            Table::Images | Table::PerAnchor(_) => 1,
            Table::PerLane(_, rows) => rows,
        }
    }
}

/// What the steps of paths read and write.
#[derive(Clone, Copy, Debug)]
pub struct PathPorts {
    /// `Lane` of each lane.
    pub lanes: BufferId,
    /// Midpoints, flat `[lane][D rounded up to 4]`.
    pub x: BufferId,
    /// Steps, likewise.
    pub d: BufferId,
}

/// The paths of a program, and the buffers of their tables.
#[derive(Clone, Debug)]
pub struct Tables {
    dim: usize,
    paths: Vec<Arc<dyn ClosedPath>>,
    kept: Vec<Kept>,
    /// In `kept`, by path, in the order of `ClosedPath::tables`.
    of_path: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    table: Table,
    buffer: BufferId,
    /// Whose rows they are; of the images, whoever asked first.
    path: usize,
}

impl Tables {
    /// Appends the step of each path, which is for the lanes that have the path's number, and makes the tables' buffers.
    pub fn launch(
        program: &mut Builder,
        paths: &[Arc<dyn ClosedPath>],
        dim: usize,
        seed: u64,
        ports: PathPorts,
    ) -> Result<Self> {
        let mut tables = Self { dim, paths: paths.to_vec(), kept: vec![], of_path: vec![] };
        for (index, path) in paths.iter().enumerate() {
            let asked = path.tables();
            if asked.len() > 2 {
                let found = format!("{} tables, expected at most 2", asked.len());
                return Err(Error::invalid(format!("path {}", path.name()), found));
            }
            let own = asked.iter().map(|&table| tables.keep(program, table, index)).collect();
            tables.of_path.push(own);
            tables.step(program, index, seed, ports);
        }
        Ok(tables)
    }

    /// Words of a row.
    fn stride(&self) -> usize {
        self.dim.next_multiple_of(4)
    }

    /// Where the table is in `kept`.
    fn keep(&mut self, program: &mut Builder, table: Table, path: usize) -> usize {
        let shared = |kept: &Kept| table == Table::Images && kept.table == table;
        if let Some(there) = self.kept.iter().position(shared) {
            return there;
        }
        let label = match table {
            Table::Images => "clean images".into(),
            _ => format!("{} of path {}", table.name(), self.paths[path].name()),
        };
        let buffer = program.buffer(label, (4 * self.stride() * table.rows()) as u64, Role::Upload);
        self.kept.push(Kept { table, buffer, path });
        self.kept.len() - 1
    }

    fn step(&self, program: &mut Builder, index: usize, seed: u64, ports: PathPorts) {
        let (path, stride) = (&self.paths[index], self.stride());
        let mut bindings = vec![("lanes", ports.lanes, Access::Read)];
        bindings.extend(self.of_path[index].iter().map(|&kept| {
            let Kept { table, buffer, .. } = self.kept[kept];
            (table.name(), buffer, Access::Read)
        }));
        bindings.extend([("x", ports.x, Access::Write), ("d", ports.d, Access::Write)]);
        if let Some(text) = path.source() {
            program.shader(path.shader(), text);
        }
        program.push(Step {
            label: format!("path {}", path.name()),
            op: "path",
            kernel: Kernel { shader: path.shader(), constants: vec![] },
            bindings,
            role: LaneRole::All,
            immediates: vec![
                ("dim", self.dim as u32),
                ("stride", stride as u32),
                ("path", index as u32),
                ("seed_lo", seed as u32),
                ("seed_hi", (seed >> 32) as u32),
            ],
            grid: Grid { items: 1, workgroup: 1, groups: 1 },
            flops: 0,
            bytes: 12 * stride as u64,
        });
    }

    /// Rows of a tile that has no lanes yet.
    pub fn tile(&self) -> Tile<'_> {
        Tile { tables: self, filled: vec![Filled::default(); self.kept.len()] }
    }
}

/// The rows that the lanes of a tile read.
pub struct Tile<'a> {
    tables: &'a Tables,
    /// By `Tables::kept`.
    filled: Vec<Filled>,
}

#[derive(Clone, Default)]
struct Filled {
    words: Vec<u32>,
    /// Sample and timestep of the last rows that belong to an anchor, and where they begin.
    last: Option<[u32; 2]>,
    row: u32,
}

impl Tile<'_> {
    /// Appends what the next lane reads, unless it is there already, and tells the lane where it is. `path` is its place among
    /// the paths that were launched; `segment` its segment, or its piece of a smooth curve.
    pub fn place(&mut self, path: usize, anchor: &Anchor, segment: u32, lane: &mut Lane) -> Result<()> {
        lane.path = path as u32;
        for (place, &kept) in self.tables.of_path[path].iter().enumerate() {
            let row = self.row(kept, anchor, segment)?;
            *(if place == 0 { &mut lane.table0 } else { &mut lane.table1 }) = row;
        }
        Ok(())
    }

    fn row(&mut self, kept: usize, anchor: &Anchor, segment: u32) -> Result<u32> {
        let (dim, stride) = (self.tables.dim, self.tables.stride());
        let (filled, Kept { table, path, .. }) = (&mut self.filled[kept], self.tables.kept[kept]);
        let key = Some([anchor.sample, anchor.k]);
        if filled.last == key && !matches!(table, Table::PerLane(..)) {
            return Ok(filled.row);
        }
        filled.last = key;
        filled.row = (filled.words.len() / stride) as u32;
        let words = match table {
            Table::Images => anchor.x0.iter().map(|v| v.to_bits()).collect(),
            Table::PerAnchor(name) | Table::PerLane(name, _) => self.tables.paths[path].rows(name, anchor, segment),
        };
        if words.len() != table.rows() * dim {
            let place = format!("path {}, table {}", self.tables.paths[path].name(), table.name());
            let expected = format!("{} words of a lane, expected {} rows of {dim}", words.len(), table.rows());
            return Err(Error::invalid(place, expected));
        }
        for row in words.chunks(dim) {
            filled.words.extend_from_slice(row);
            filled.words.resize(filled.words.len().next_multiple_of(stride), 0);
        }
        Ok(filled.row)
    }

    /// What to write to which buffer before the tile runs.
    pub fn uploads(&self) -> impl Iterator<Item = (BufferId, &[u32])> {
        let filled = self.tables.kept.iter().zip(&self.filled);
        filled.filter(|(_, filled)| !filled.words.is_empty()).map(|(kept, filled)| (kept.buffer, &filled.words[..]))
    }
}
