//! Batch evaluation on a GPU: samples `[N, C, H, W]` and a timestep each in, a network's raw outputs or a field's values
//! out (`field::evaluator`), their derivatives along T tangents each, and what K cotangents each say of the samples. Splits into tiles
//! that fit the adapter; a sample's output does not depend on its tile.
use crate::error::{Error, Result};
use crate::gpu::tiles::{self, Sample};
use crate::gpu::{Executor, Gpu, Memory, Pending};
use crate::graph::Graph;
use crate::passes::{Ports, lower};
use crate::paths::Lane;
use crate::program::{Builder, Program, Role};
use crate::shape::Shape;
use crate::target::Target;

/// Tangents, and cotangents, of a sample that indices of 32 bits have room for.
const MOST_DIRECTIONS: usize = 1_000_000;

/// What an evaluator makes room for, if memory and the adapter's limits allow it.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Samples per tile.
    pub samples: usize,
    /// Tangents per sample, T; 0 for no derivatives in forward mode.
    pub tangents: usize,
    /// Cotangents per sample, K; 0 for none in reverse mode.
    pub cotangents: usize,
}

/// Values and derivatives of a batch, C order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Products {
    /// y, `[N, D']`.
    pub y: Vec<f32>,
    /// J v, `[N, T, D']`.
    pub jv: Vec<f32>,
    /// J'u, `[N, K, D]`.
    pub jtu: Vec<f32>,
}

/// Takes a tile's rows: the number of its first lane, and its rows, one after the other.
type Each<'a> = dyn FnMut(usize, &[f32]) -> Result<()> + 'a;

/// Which of several conditions a sample is under.
pub(crate) struct Under {
    pub count: usize,
    pub of: Box<dyn Fn(usize) -> Result<usize> + Send>,
}

impl Under {
    /// Of a network alone: samples are numbered as its conditions are.
    fn own(count: usize) -> Self {
        let of = move |sample: usize| match sample < count {
            true => Ok(sample),
            false => Err(Error::invalid("evaluator condition", format!("{sample}, the network has {count}"))),
        };
        Self { count, of: Box::new(of) }
    }
}

/// A network or a field on a device, ready to be evaluated.
pub struct Evaluator {
    executor: Executor<'static>,
    ports: Ports,
    /// Distinct and ascending.
    timesteps: Vec<usize>,
    /// What the lanes of each timestep carry.
    levels: Vec<Lane>,
    under: Under,
    input: Shape,
    output: Shape,
    /// Numbers of a lane, in and out: where there are cotangents, whose lanes hold an output and make an input, of the larger.
    row: [usize; 2],
}

impl Evaluator {
    /// Plans and compiles for `Gpu::target`. `timesteps`, distinct and ascending, are all that `evaluate`
    /// may be asked for. Tiles hold at most `max_lanes` samples, fewer where memory or the adapter's limits say so.
    pub fn new(gpu: &Gpu, graph: &Graph, timesteps: &[usize], max_lanes: usize) -> Result<Self> {
        Self::with_tangents(gpu, graph, timesteps, Room { samples: max_lanes, tangents: 0, cotangents: 0 })
    }

    /// `new` with room for tangents, for `jvp`.
    pub fn with_tangents(gpu: &Gpu, graph: &Graph, timesteps: &[usize], room: Room) -> Result<Self> {
        let shapes = graph.end_shapes()?;
        let under = Under::own(graph.rows.conditions());
        let (ks, graph) = (timesteps.to_vec(), graph.clone());
        Self::of_steps(gpu, shapes, timesteps, room, (|_| Ok(Lane::default()), under), move |program, ports| {
            lower(&graph, &ks, ports, program)
        })
    }

    /// Whatever steps `append` adds between the ports. `level` makes the lane of the timestep of that number in the list, `under`
    /// knows the conditions.
    pub(crate) fn of_steps(
        gpu: &Gpu,
        [input, output]: [Shape; 2],
        timesteps: &[usize],
        room: Room,
        (level, under): (impl Fn(usize) -> Result<Lane>, Under),
        append: impl Fn(&mut Builder, &Ports) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        if timesteps.is_empty() || !timesteps.is_sorted_by(|a, b| a < b) {
            let message = format!("{timesteps:?} is not a list of distinct, ascending numbers");
            return Err(Error::invalid("evaluator timesteps", message));
        }
        let levels = (0..timesteps.len()).map(level).collect::<Result<Vec<_>>>()?;
        let row = match room.cotangents {
            0 => [input.len(), output.len()],
            _ => [input.len().max(output.len()); 2],
        };
        let plan = move |gpu: &Gpu, cut: Cut| -> Result<Planned> {
            let target = gpu.target();
            let buffer_bytes = target.buffer_bytes.filter(|_| cut.bands);
            let mut program =
                Builder::both(Target { buffer_bytes, saved: cut.saved, ..target }, cut.tangents, cut.cotangents);
            let ports = Ports::one(
                program.buffer("evaluator x", 4 * stride(row[0]) as u64, Role::Upload),
                program.buffer("evaluator y", 4 * stride(row[1]) as u64, Role::Download),
                program.buffer("evaluator lanes", size_of::<Lane>() as u64, Role::Upload),
            );
            append(&mut program, &ports)?;
            Ok((program.finish()?, ports, cut))
        };
        for (what, count) in [("tangents", room.tangents), ("cotangents", room.cotangents)] {
            if count > MOST_DIRECTIONS {
                let message = format!("{count} at a time, expected at most {MOST_DIRECTIONS}");
                return Err(Error::invalid(format!("evaluator {what}"), message));
            }
        }
        let asked = [room.tangents, room.cotangents].map(|n| n as u32);
        let (program, ports, cut) = fitting(gpu, asked, |cut| plan(gpu, cut))?;
        let group = u64::from(program.group());
        // At least one sample: if not even that fits, the executor says so and why.
        let lanes = tiles::lanes(gpu, &program, None, (room.samples as u64).saturating_mul(group))?;
        let executor = Executor::lasting(gpu, program, lanes, Box::new(move |gpu| Ok(plan(gpu, cut)?.0)))?;
        Ok(Self { executor, ports, timesteps: timesteps.to_vec(), levels, under, input, output, row })
    }

    /// Samples per tile.
    pub fn max_samples(&self) -> usize {
        self.executor.max_lanes() / self.program().group() as usize
    }

    /// T: tangents per sample, as many as were asked for or as fit.
    pub fn tangents(&self) -> usize {
        self.program().tangents as usize
    }

    /// K: cotangents per sample, as many as were asked for or as fit.
    pub fn cotangents(&self) -> usize {
        self.program().cotangents as usize
    }

    /// What it takes on the device.
    pub fn memory(&self) -> Memory {
        self.executor.memory()
    }

    /// What runs.
    pub fn program(&self) -> &Program {
        self.executor.program()
    }

    /// The raw network outputs, or field values, `[N, D]` of `x`, `[N, C, H, W]` in C order; sample i is at timestep `ks[i]`.
    /// All are under one condition.
    pub fn evaluate(&mut self, x: &[f32], ks: &[usize]) -> Result<Vec<f32>> {
        self.evaluate_of(x, ks, &self.first(ks)?)
    }

    /// `evaluate` under the conditions of these samples: of a field its samples, of a network the numbers of its conditions.
    pub fn evaluate_of(&mut self, x: &[f32], ks: &[usize], samples: &[usize]) -> Result<Vec<f32>> {
        if self.program().group() > 1 {
            return Err(Error::invalid("evaluator", "is planned for derivatives: use jvp, vjp or products"));
        }
        Ok(self.products_of(x, &[], &[], ks, samples)?.y)
    }

    /// Values and derivatives: (y `[N, D]`, J v `[N, K, D]`) at `x` `[N, D]` along `v` `[N, K, D]`, K = `tangents`.
    /// All are under one condition.
    pub fn jvp(&mut self, x: &[f32], v: &[f32], ks: &[usize]) -> Result<(Vec<f32>, Vec<f32>)> {
        self.jvp_of(x, v, ks, &self.first(ks)?)
    }

    /// The condition of all, where there is but one.
    fn first(&self, ks: &[usize]) -> Result<Vec<usize>> {
        match self.under.count {
            0 | 1 => Ok(vec![0; ks.len()]),
            n => {
                Err(Error::invalid("evaluator", format!("has {n} conditions: say which sample each point belongs to")))
            }
        }
    }

    /// `jvp` under the conditions of these samples.
    pub fn jvp_of(&mut self, x: &[f32], v: &[f32], ks: &[usize], samples: &[usize]) -> Result<(Vec<f32>, Vec<f32>)> {
        let Products { y, jv, .. } = self.products_of(x, v, &[], ks, samples)?;
        Ok((y, jv))
    }

    /// Values and cotangents: (y `[N, D']`, J'u `[N, K, D]`) at `x` `[N, D]` from `u` `[N, K, D']`, K = `cotangents`.
    /// All are under one condition.
    pub fn vjp(&mut self, x: &[f32], u: &[f32], ks: &[usize]) -> Result<(Vec<f32>, Vec<f32>)> {
        let Products { y, jtu, .. } = self.products(x, &[], u, ks)?;
        Ok((y, jtu))
    }

    /// Values, derivatives along `v` `[N, T, D]` and cotangents `u` `[N, K, D']` in one go, at `x` `[N, D]`: T = `tangents`, K =
    /// `cotangents`, and either may be none. All are under one condition.
    pub fn products(&mut self, x: &[f32], v: &[f32], u: &[f32], ks: &[usize]) -> Result<Products> {
        self.products_of(x, v, u, ks, &self.first(ks)?)
    }

    /// `products` under the conditions of these samples.
    ///
    /// # Errors
    /// Numbers that are not as many as the plan has room for; a direction that is not finite; what the device says.
    pub fn products_of(
        &mut self,
        x: &[f32],
        v: &[f32],
        u: &[f32],
        ks: &[usize],
        samples: &[usize],
    ) -> Result<Products> {
        let mut found = Products::default();
        self.products_each(x, [v, u], ks, samples, |_, Products { y, jv, jtu }| {
            found.y.extend(y);
            found.jv.extend(jv);
            found.jtu.extend(jtu);
            Ok(())
        })?;
        Ok(found)
    }

    /// `products_of` of `[tangents, cotangents]`, handed on tile by tile in the order of the samples: the number of a tile's first
    /// sample, and its products. What `each` refuses ends it.
    pub(crate) fn products_each(
        &mut self,
        x: &[f32],
        [v, u]: [&[f32]; 2],
        ks: &[usize],
        samples: &[usize],
        mut each: impl FnMut(usize, Products) -> Result<()>,
    ) -> Result<()> {
        let (n, [d, out], [t, k]) = (ks.len(), [self.input, self.output].map(|s| s.len()), self.directions());
        self.fits("samples", x, n, d)?;
        for (what, numbers, count, len) in [("tangents", v, t, d), ("cotangents", u, k, out)] {
            self.fits(what, numbers, n * count, len)?;
            if let Some(at) = numbers.iter().position(|v| !v.is_finite()) {
                let which = format!("{} {} of sample {}", &what[..what.len() - 1], at / len % count, at / len / count);
                let place = format!("{which}, component {}", at % len);
                return Err(Error::invalid(place, format!("{}, expected a finite number", numbers[at])));
            }
        }
        let group = 1 + t + k;
        let mut lanes = vec![0f32; n * group * self.row[0]];
        for (i, sample) in lanes.chunks_exact_mut(group * self.row[0]).enumerate() {
            let own = [&x[i * d..(i + 1) * d]].into_iter();
            let own = own.chain(v[i * t * d..(i + 1) * t * d].chunks_exact(d));
            let own = own.chain(u[i * k * out..(i + 1) * k * out].chunks_exact(out));
            sample
                .chunks_exact_mut(self.row[0])
                .zip(own)
                .for_each(|(lane, own)| lane[..own.len()].copy_from_slice(own));
        }
        let row = self.row[1];
        self.lanes(&lanes, ks, samples, &mut |first, all| {
            let mut found = Products::default();
            for (lane, made) in all.chunks_exact(row).enumerate() {
                match lane % group {
                    0 => found.y.extend_from_slice(&made[..out]),
                    i if i <= t => found.jv.extend_from_slice(&made[..out]),
                    _ => found.jtu.extend_from_slice(&made[..d]),
                }
            }
            each(first / group, found)
        })
    }

    /// T and K.
    fn directions(&self) -> [usize; 2] {
        [self.tangents(), self.cotangents()]
    }

    fn fits(&self, what: &str, values: &[f32], rows: usize, row: usize) -> Result<()> {
        let (found, want) = (values.len(), rows * row);
        if found == want {
            return Ok(());
        }
        Err(Error::invalid(format!("evaluator {what}"), format!("{found} numbers, {rows} {what} have {want}")))
    }

    /// Runs all lanes of the samples, and hands on those of each tile: the number of its first lane, and its rows.
    fn lanes(&mut self, x: &[f32], ks: &[usize], samples: &[usize], each: &mut Each) -> Result<()> {
        if samples.len() != ks.len() {
            let message = format!("{} of them, {} timesteps", samples.len(), ks.len());
            return Err(Error::invalid("evaluator samples", message));
        }
        let group = self.program().group() as usize;
        let mut lanes = Vec::with_capacity(ks.len() * group);
        for (k, &sample) in ks.iter().zip(samples) {
            let timestep = self.timesteps.binary_search(k).map_err(|_| {
                Error::invalid("evaluator timestep", format!("{k} is not one of the {} planned", self.timesteps.len()))
            })?;
            let condition = if self.under.count > 1 { (self.under.of)(sample)? } else { 0 };
            let row = (timestep * self.under.count.max(1) + condition) as u32;
            lanes.extend(std::iter::repeat_n(Lane { row, ..self.levels[timestep] }, group));
        }
        let mut done = 0;
        while let Err(error) = self.tiles(x, &lanes, &mut done, each) {
            self.executor.recover(error)?;
        }
        Ok(())
    }

    /// Runs the lanes behind the first `done`, which are handed on.
    fn tiles(&mut self, x: &[f32], lanes: &[Lane], done: &mut usize, each: &mut Each) -> Result<()> {
        let (d, mut first) = (self.row[0], *done);
        let mut ahead: Option<Pending> = None;
        while first < lanes.len() {
            let next = (first + self.executor.safe_lanes()).min(lanes.len());
            let (x, lanes) = (&x[first * d..next * d], &lanes[first..next]);
            first = next;
            self.executor.upload(self.ports.inputs[0], &self.padded(x))?;
            self.executor.upload(self.ports.lanes, lanes)?;
            // One tile is queued while the one before it is read back.
            let submitted = self.executor.submit(lanes.len())?;
            if let Some(before) = ahead.replace(submitted) {
                self.read(before, done, each)?;
            }
        }
        ahead.map_or(Ok(()), |last| self.read(last, done, each))
    }

    /// Rows as the device holds them, padded with zeros to a multiple of 4.
    fn padded(&self, x: &[f32]) -> Vec<f32> {
        let (d, stride) = (self.row[0], stride(self.row[0]));
        let mut padded = vec![0f32; x.len() / d * stride];
        for (row, sample) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(d)) {
            row[..d].copy_from_slice(sample);
        }
        padded
    }

    fn read(&mut self, pending: Pending, done: &mut usize, each: &mut Each) -> Result<()> {
        let (d, stride, port) = (self.row[1], stride(self.row[1]), self.ports.outputs[0]);
        let mut rows = vec![];
        self.executor.wait(pending, |id, bytes| {
            if id == port {
                let flat: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
                flat.chunks_exact(stride).for_each(|row| rows.extend_from_slice(&row[..d]));
            }
        })?;
        let first = *done;
        *done += rows.len() / d;
        each(first, &rows)
    }
}

/// How a plan is cut to what fits.
#[derive(Clone, Copy)]
struct Cut {
    /// At a time.
    tangents: u32,
    /// At a time.
    cotangents: u32,
    /// Tensors in bands of rows.
    bands: bool,
    /// `Target::saved`.
    saved: u64,
}

/// A program, its ports, and how it is cut.
type Planned = (Program, Ports, Cut);

/// Numbers of a flat lane, as the device holds so many.
const fn stride(numbers: usize) -> usize {
    numbers.next_multiple_of(4)
}

/// The plan for so many tangents and cotangents at a time, or for as many of each as fit; as few rounds as possible, each as
/// large as the others. Tensors are cut only where not even a sample with one of each fits whole: fewer cost less than copies.
fn fitting(gpu: &Gpu, asked: [u32; 2], plan: impl Fn(Cut) -> Result<Planned>) -> Result<Planned> {
    let most = asked[0].max(asked[1]);
    let saving = |most: u32, bands, saved| {
        let [tangents, cotangents] = asked.map(|asked| asked.min(most));
        plan(Cut { tangents, cotangents, bands, saved })
    };
    let plan = |most, bands| saving(most, bands, 0);
    let all = plan(most, false)?;
    let sample = Sample::on(gpu, &all.0);
    let whole = sample.within_limits(&all.0);
    if most == 0 {
        return if whole { Ok(all) } else { plan(0, true) };
    }
    if whole && most > 1 && sample.within_memory(&all.0) {
        return Ok(all);
    }
    let single = match most {
        1 => all,
        _ => {
            drop(all);
            plan(1, false)?
        }
    };
    let fits = sample.within_limits(&single.0);
    let excess = if asked[1] > 0 { sample.excess(&single.0) } else { 0 };
    if excess > 0 {
        drop(single);
        return saving(1, !fits, excess);
    }
    if fits && most == 1 {
        return Ok(single);
    }
    // A plan holds the weights, and so does the next one: this one goes.
    let rounds = |fitting: u32| most.div_ceil(most.div_ceil(fitting));
    let mut count = rounds(sample.directions(single.0, asked, !fits));
    let mut planned = match plan(count, !fits) {
        Err(Error::OutOfMemory { .. }) if !fits && most > 1 => return plan(1, true),
        planned => planned?,
    };
    // A plan for many may take more of each than the plan for one, by which their number was chosen.
    while count > 1 && sample.excess(&planned.0) > 0 {
        count = rounds(sample.directions(planned.0, asked.map(|n| n.min(count - 1)), !fits)).min(count - 1);
        planned = plan(count, !fits)?;
    }
    Ok(planned)
}
