//! The work of a circulation run: which point is number i, what its lane carries, and what becomes of its products.
//! In: the sweep's tiles. Out: `Sums` of every loop of the shard. Pass by pass: midpoints, then the loops that are integrated
//! adaptively.
use super::adaptive::Group;
use super::columns::{Dots, Sums};
use super::nested::{Nested, Node};
use super::options::{Options, Quadrature, RESULTS};
use super::queries::{Queries, Query};
use crate::data::Images;
use crate::diagnostics::spread;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Executor;
use crate::paths::{self, Anchor, ClosedPath, Lane, PathPorts, Tables};
use crate::program::{BufferId, Builder, Role};
use crate::run::Shard;
use crate::sweep::Job;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Noise level and field coefficients of one timestep.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub k: usize,
    pub a: f64,
    pub sigma: f64,
    pub bridge_scale: f64,
    pub alpha: f64,
    pub beta: f64,
}

impl Level {
    /// Of N(0, I) data noised to this level.
    fn variance(&self) -> f64 {
        self.a * self.a + self.sigma * self.sigma
    }
}

/// Two-point Gauss has an error too; on a rough path it was seen at a tenth of the midpoint rule's. A third is allowed for.
pub(super) const GAUSS_TOO: f64 = 1.5;

/// A term to be computed again: what the GPU made of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Term {
    /// s.d
    pub value: f64,
    /// |s| |d|
    pub size: f64,
}

pub(super) struct Work<'a> {
    pub images: &'a Images,
    pub options: Options,
    pub shard: Shard,
    /// Samples of the shard.
    pub samples: usize,
    pub paths: Vec<Chosen>,
    pub levels: Vec<Level>,
    pub conditions: Conditions,
    pub ports: PathPorts,
    pub tables: Tables,
    /// The midpoint rule's part of the work, for `by_midpoint` of the paths.
    pub queries: Queries,
    pub by_midpoint: Vec<usize>,
    pub rules: Vec<Nested>,
    /// What the sweep does now.
    pub pass: Pass,
    /// Points that a round of adaptive loops should have.
    pub round: u64,
    /// Of each loop; order of work: timestep, sample, path.
    pub sums: Vec<Sums>,
    /// Of the loops that are checked: the segments that are compared, by their midpoints and by two-point Gauss.
    pub compared: Vec<[f64; 2]>,
    /// By loop, in order of work, and segment or node.
    pub terms: BTreeMap<(usize, usize), Term>,
    /// Terms of the whole run that are computed again.
    pub verified: usize,
    /// The first point of the pass at which the field was not finite.
    pub not_finite: Option<u64>,
}

/// How many conditions there are, and which of them each sample of the shard is under.
pub(super) struct Conditions {
    pub count: usize,
    pub of: Vec<usize>,
}

/// A path of the run.
pub(super) struct Chosen {
    pub path: Arc<dyn ClosedPath>,
    /// In `Work::rules`, if it is integrated adaptively.
    pub rule: Option<usize>,
}

pub(super) enum Pass {
    Midpoints,
    /// The same points in the order of an exported file.
    Exported,
    Nested(Group),
}

/// A point where the field is evaluated: the loop's place in order of work, and which point of it.
pub(super) struct Point {
    pub place: usize,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Segment {
        segment: u32,
        shift: f32,
    },
    /// A node of the path's rule, and its number.
    Node {
        number: usize,
        node: Node,
    },
}

/// The paths of a run of points of `dim` components, and the rules of those that are integrated adaptively.
fn choose(options: &Options, dim: usize) -> Result<(Vec<Chosen>, Vec<Nested>)> {
    let (mut chosen, mut rules): (Vec<Chosen>, Vec<Nested>) = (vec![], vec![]);
    for path in &options.paths {
        path.check(dim, options.points, options.samples)?;
        if chosen.iter().any(|p| p.path.name() == path.name()) {
            return Err(Error::invalid("paths", format!("'{}' is given twice", path.name())));
        }
        let rule = match (options.quadrature, path.smooth()) {
            (Quadrature::Adaptive { .. }, Some(smooth)) => {
                rules.push(Nested::of(smooth.curve(), options.points));
                Some(rules.len() - 1)
            }
            _ => None,
        };
        chosen.push(Chosen { path: path.clone(), rule });
    }
    if chosen.is_empty() {
        return Err(Error::invalid("paths", "none given"));
    }
    Ok((chosen, rules))
}

impl<'a> Work<'a> {
    /// Checks the options, and appends to `program` the buffers and steps that make the points; `points` is what the
    /// buffers of points and steps are for.
    pub fn new(
        program: &mut Builder,
        points: Role,
        field: &dyn Field,
        images: &'a Images,
        options: Options,
        shard: Shard,
    ) -> Result<Self> {
        let shape = field.shape();
        options.check(images, shape)?;
        shard.check(options.samples)?;
        let samples = shard.count(options.samples);
        let (chosen, rules) = choose(&options, shape.len())?;
        let level = |&k: &usize| -> Result<Level> {
            let (a, sigma) = field.process().noise(k)?;
            let (alpha, beta) = field.coefficients(k)?;
            Ok(Level { k, a, sigma, bridge_scale: field.process().bridge_scale(k), alpha, beta })
        };
        let levels = options.timesteps.iter().map(level).collect::<Result<Vec<_>>>()?;
        let of = (0..samples).map(|sample| field.condition(shard.sample(sample))).collect::<Result<_>>()?;
        let conditions = Conditions { count: field.conditions(), of };

        let row = 4 * shape.flat_stride() as u64;
        let ports = PathPorts {
            lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
            x: program.buffer("midpoints", row, points.clone()),
            d: program.buffer("steps", row, points),
        };
        let tables = Tables::launch(program, &options.paths, shape.len(), options.seed, ports)?;

        let by_midpoint: Vec<usize> = (0..chosen.len()).filter(|&p| chosen[p].rule.is_none()).collect();
        let queries = Queries {
            timesteps: levels.len(),
            samples,
            paths: by_midpoint.len(),
            segments: options.points,
            checked: shard.count(options.checked_samples()),
            every: options.compared_every(),
        };
        let (p, n) = (chosen.len(), options.samples);
        let picks = spread(levels.len() * n * p, options.verify_points).into_iter().map(|(place, part)| {
            let first = chosen[place % p].rule.map_or(options.points, |r| rules[r].weights[1].len());
            (place, (part * first as f64) as usize)
        });
        let picks: BTreeSet<(usize, usize)> = picks.collect();
        let own = |&(place, point): &(usize, usize)| {
            let sample = shard.place(place / p % n)?;
            Some((((place / p / n * samples + sample) * p + place % p, point), Term::default()))
        };
        let loops = levels.len() * samples * p;
        let mut work = Work {
            terms: picks.iter().filter_map(own).collect(),
            verified: picks.len(),
            not_finite: None,
            shard,
            samples,
            images,
            options,
            paths: chosen,
            levels,
            conditions,
            ports,
            tables,
            queries,
            by_midpoint,
            rules,
            pass: Pass::Midpoints,
            round: 1,
            sums: vec![Sums { quadrature: f64::NAN, ..Sums::default() }; loops],
            compared: vec![[0.0; 2]; loops],
        };
        work.begin(0);
        Ok(work)
    }
}

impl Work<'_> {
    pub fn most_evaluations(&self) -> u64 {
        let per_sample: usize = self.rules.iter().map(|r| r.nodes.len()).sum();
        self.queries.total() + (per_sample * self.levels.len() * self.samples) as u64
    }

    /// Sets up a pass, from 0; false if there are not so many.
    pub fn begin(&mut self, pass: usize) -> bool {
        if pass == 0 && !self.by_midpoint.is_empty() {
            self.pass = Pass::Midpoints;
            return true;
        }
        let of_path = |place: usize| Some((place, self.paths[place % self.paths.len()].rule?));
        let tolerance = match self.options.quadrature {
            Quadrature::Adaptive { tolerance } => tolerance,
            Quadrature::Midpoint => 0.0,
        };
        self.pass = Pass::Nested(Group::new((0..self.sums.len()).filter_map(of_path), tolerance));
        !self.rules.is_empty() && pass == usize::from(!self.by_midpoint.is_empty())
    }

    /// Begins a round of adaptive loops.
    pub fn next_round(&mut self) {
        if let Pass::Nested(group) = &mut self.pass {
            group.round(&self.rules, self.round);
        }
    }

    /// Points that the sweep takes now; 0 when the pass is done.
    pub fn pass_total(&self) -> u64 {
        match &self.pass {
            Pass::Midpoints | Pass::Exported => self.queries.total(),
            Pass::Nested(group) => group.total(),
        }
    }

    /// The most points that the pass, which has just begun, may take.
    pub fn pass_most(&self) -> u64 {
        match &self.pass {
            Pass::Midpoints | Pass::Exported => self.queries.total(),
            Pass::Nested(group) => group.most(&self.rules),
        }
    }

    /// Points that the pass took before this sweep, or did not need.
    pub fn pass_before(&self) -> u64 {
        match &self.pass {
            Pass::Midpoints | Pass::Exported => 0,
            Pass::Nested(group) => group.before(),
        }
    }

    /// After a sweep over the pass; the places of adaptive loops that are done with it.
    pub fn settle(&mut self) -> Vec<usize> {
        let mut ended = vec![];
        let (n, p) = (self.samples, self.paths.len());
        if let Pass::Nested(group) = &mut self.pass {
            let (levels, sums) = (&self.levels, &mut self.sums);
            let variance = |place: usize| levels[place / (n * p)].variance();
            group.settle(&self.rules, variance, |place, done| {
                sums[place] = done;
                ended.push(place);
            });
        } else {
            let share = self.queries.segments as f64 / self.queries.compared() as f64;
            for place in (0..self.sums.len()).filter(|place| place / p % n < self.queries.checked) {
                let [midpoints, gauss] = self.compared[place];
                self.sums[place].quadrature = GAUSS_TOO * share * (midpoints - gauss).abs();
            }
            self.pass = Pass::Nested(Group::default());
        }
        ended
    }

    pub fn point(&self, i: u64) -> Point {
        match &self.pass {
            Pass::Midpoints | Pass::Exported => {
                let file = matches!(self.pass, Pass::Exported);
                let query = if file { self.queries.in_file(i) } else { self.queries.get(i) };
                let Query { timestep, sample, path, segment, shift } = query;
                let place = (timestep * self.samples + sample) * self.paths.len() + self.by_midpoint[path];
                Point { place, at: At::Segment { segment, shift } }
            }
            Pass::Nested(group) => {
                let (place, rule, number) = group.get(i);
                Point { place, at: At::Node { number, node: self.rules[rule].nodes[number] } }
            }
        }
    }

    /// Indices of (timestep, sample of the shard, path).
    pub fn split(&self, place: usize) -> (usize, usize, usize) {
        let (rest, path) = (place / self.paths.len(), place % self.paths.len());
        (rest / self.samples, rest % self.samples, path)
    }

    /// s.d of one point in f64: point, field and product; the field sees the point in f32, as on the device.
    pub fn term_by_twin(&self, field: &dyn Field, place: usize, point: usize) -> Result<f64> {
        let (timestep, sample, path) = self.split(place);
        let (anchor, chosen) = (self.anchor(timestep, sample), &self.paths[path]);
        let (at, step) = match (chosen.rule, chosen.path.smooth()) {
            (Some(rule), Some(smooth)) => {
                let node = self.rules[rule].nodes[point];
                smooth.tangent(&anchor, node.piece, node.t).into()
            }
            _ => {
                let [p, q] = [point, point + 1].map(|node| chosen.path.point(&anchor, node as u32));
                let ends = || p.iter().zip(&q);
                (ends().map(|(p, q)| 0.5 * (p + q)).collect(), ends().map(|(p, q)| q - p).collect::<Vec<f64>>())
            }
        };
        // The device holds points in f32.
        let at: Vec<Dual> = at.iter().map(|&v| Dual::constant(f64::from(v as f32))).collect();
        let s = field.twin(&at, self.levels[timestep].k, self.shard.sample(sample))?;
        Ok(s.iter().zip(&step).map(|(s, d)| s.v * d).sum())
    }

    fn anchor(&self, timestep: usize, sample: usize) -> Anchor<'_> {
        let (level, d, sample) = (self.levels[timestep], self.images.shape.len(), self.shard.sample(sample));
        Anchor {
            seed: self.options.seed,
            sample: sample as u32,
            k: level.k as u32,
            a: level.a,
            sigma: level.sigma,
            bridge_scale: level.bridge_scale,
            x0: &self.images.values[sample * d..(sample + 1) * d],
            segments: self.options.points as u32,
        }
    }

    /// Timestep k and sample of a point of the pass, and where it is, in words.
    pub fn name(&self, i: u64) -> ((usize, usize), String) {
        let Point { place, at } = self.point(i);
        let (timestep, sample, path) = self.split(place);
        let at = match at {
            At::Segment { segment, .. } => format!("segment {segment}"),
            At::Node { number, .. } => format!("node {number}"),
        };
        let (k, sample, path) = (self.levels[timestep].k, self.shard.sample(sample), self.paths[path].path.name());
        ((k, sample), format!("sample {sample}, timestep {k}, path {path}, {at}"))
    }

    /// What the device made of the points from `first`. Where the field is not finite the sums become NaN.
    pub fn take(&mut self, first: u64, values: &[f32]) -> Result<()> {
        for (i, v) in values.chunks_exact(RESULTS).enumerate() {
            let i = first + i as u64;
            let products = [v[0], v[1], v[2], v[3], v[4]];
            let dots = Dots::read(products);
            let Point { place, at } = self.point(i);
            let timestep = self.split(place).0;
            if !dots.has_finite_point() {
                let said =
                    format!("|m|^2 = {}, |d|^2 = {}, m.d = {}: expected finite numbers", dots.mm, dots.dd, dots.md);
                return Err(Error::invalid(format!("point of {}", self.name(i).1), said));
            }
            if !dots.is_finite() && self.not_finite.is_none() {
                self.not_finite = Some(i);
            }
            let dots = dots.marked();
            let point = match at {
                At::Node { number, .. } => number,
                At::Segment { segment, .. } => segment as usize,
            };
            let checks = matches!(at, At::Segment { shift, .. } if shift != 0.0);
            if let Some(term) = self.terms.get_mut(&(place, point)).filter(|_| !checks) {
                *term = Term { value: dots.sd, size: dots.size() };
            }
            self.sums[place].evaluations += 1.0;
            match &mut self.pass {
                Pass::Midpoints | Pass::Exported if checks => self.compared[place][1] += 0.5 * dots.sd,
                Pass::Midpoints | Pass::Exported => {
                    self.sums[place].add(&dots, 1.0, self.levels[timestep].variance());
                    if self.queries.compares(point) {
                        self.compared[place][0] += dots.sd;
                    }
                }
                Pass::Nested(group) => group.put(i, products),
            }
        }
        Ok(())
    }
}

impl Job for Work<'_> {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        let (mut table, mut tile) = (Vec::with_capacity(lanes), self.tables.tile());
        for i in first..first + lanes as u64 {
            let Point { place, at } = self.point(i);
            let (timestep, sample, path) = self.split(place);
            let (anchor, chosen, level) = (self.anchor(timestep, sample), &self.paths[path], self.levels[timestep]);
            let (piece, lane) = match at {
                At::Node { node, .. } => {
                    (node.piece, paths::tangent_lane(chosen.path.as_ref(), &anchor, node.piece, node.t)?)
                }
                At::Segment { segment, shift } => {
                    (segment, Lane { shift, ..paths::lane(chosen.path.as_ref(), &anchor, segment) })
                }
            };
            let row = (timestep * self.conditions.count + self.conditions.of[sample]) as u32;
            let (alpha, beta) = (level.alpha as f32, level.beta as f32);
            let mut lane = Lane { row, alpha, beta, ..lane };
            tile.place(path, &anchor, piece, &mut lane)?;
            table.push(lane);
        }
        executor.upload(self.ports.lanes, &table)?;
        tile.uploads().try_for_each(|(buffer, words)| executor.upload(buffer, words))
    }

    fn collect(&mut self, first: u64, _: usize, _: BufferId, values: &[f32]) -> Result<()> {
        self.take(first, values)
    }
}
