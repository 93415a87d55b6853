//! A network's plan alone, with or without tangents or cotangents: time of whole runs, of what comes before the first one, and of every
//! op on its own. In: an open model and adapter. Out: `Cost`s.
use super::cost::{Cost, OpCost, Seconds};
use crate::ceilings::{Bound, Ceilings};
use crate::error::Result;
use crate::gpu::{Executor, Gpu, tiles};
use crate::model::Model;
use crate::passes::{Ports, lower};
use crate::paths::Lane;
use crate::program::{BufferId, Builder, Role, Space, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// Rounds in which ops are timed one at a time, at most: each waits for every dispatch.
const OP_ROUNDS: usize = 5;

/// Seconds from an open model and adapter to the first results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub plan: f64,
    /// And allocation.
    pub compile: f64,
    pub first_run: f64,
}

/// A network's plan with its inputs on the device.
pub(super) struct Ready {
    executor: Executor<'static>,
    output: BufferId,
    /// As many as were asked for or fit, and the device's watchdog allows.
    lanes: usize,
    pub start: Start,
}

impl Ready {
    /// Of samples with so many tangents and cotangents, with room for about `tile` lanes, whole samples; everything has run once.
    pub fn new(gpu: &Gpu, model: &Model, [tangents, cotangents]: [u32; 2], tile: Option<usize>) -> Result<Self> {
        let begun = Instant::now();
        // A cotangent's lane holds an output and makes an input.
        let row = model.graph.end_shapes()?.map(|s| s.flat_stride()).into_iter().max().unwrap_or(0);
        let mut program = Builder::both(gpu.target(), tangents, cotangents);
        let ports = Ports::one(
            program.buffer("x", 4 * row as u64, Role::Upload),
            program.buffer("y", 4 * row as u64, Role::Download),
            program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
        );
        lower(&model.graph, &[model.process.timesteps() / 2], &ports, &mut program)?;
        let program = program.finish()?;
        let most = tiles::lanes(gpu, &program, tile, u64::MAX)?;
        let planned = begun.elapsed().as_secs_f64();
        let mut executor = Executor::new(gpu, program, most)?;
        let compiled = begun.elapsed().as_secs_f64();
        // Any finite points do: no kernel's time depends on the values, and those of lib/exp keep them normal numbers.
        let x: Vec<f32> = (0..most * row).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        executor.upload(ports.inputs[0], &x)?;
        executor.upload(ports.lanes, &vec![Lane::default(); most])?;
        let mut lanes = executor.safe_lanes();
        executor.run(lanes, ports.outputs[0])?;
        let ran = begun.elapsed().as_secs_f64();
        // Each run may show that larger ones are safe too.
        while executor.safe_lanes() > lanes {
            lanes = executor.safe_lanes();
            executor.run(lanes, ports.outputs[0])?;
        }
        let lanes = lanes.min(executor.safe_lanes());
        let start = Start { plan: planned, compile: compiled - planned, first_run: ran - compiled };
        Ok(Self { executor, output: ports.outputs[0], lanes, start })
    }

    /// Seconds per lane of one run.
    fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.executor.run(self.lanes, self.output)?;
        Ok(start.elapsed().as_secs_f64() / self.lanes as f64)
    }

    /// Every op on its own, slowest first.
    fn ops(&self, ceilings: &Ceilings, rounds: usize) -> Result<Vec<OpCost>> {
        let (lanes, program, family) = (self.lanes, self.executor.program(), self.executor.gpu().family());
        let mut ops: BTreeMap<&str, OpCost> = BTreeMap::new();
        // Least seconds of the dispatches that compute and memory bound.
        let mut roofs: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
        for round in 0..rounds {
            for (step, seconds) in self.executor.time_actions(lanes, 1, 1)? {
                let op = step.map_or("image update", |(s, _)| s.op);
                let none = || OpCost {
                    op,
                    dispatches: 0,
                    seconds: Seconds(vec![0.0; rounds]),
                    flops: 0.0,
                    bytes: 0.0,
                    roof: None,
                };
                let cost = ops.entry(op).or_insert_with(none);
                cost.seconds.0[round] += seconds / lanes as f64;
                if round > 0 {
                    continue;
                }
                // Per lane of the tile, not of the role that the step is for.
                let of = |(step, space): &(Step, Space), amount: u64| {
                    (amount * program.lanes_of(*space, step.role, lanes as u64)) as f64 / lanes as f64
                };
                let (flops, bytes) = step.map_or((0.0, 0.0), |s| (of(s, s.0.flops), of(s, s.0.bytes)));
                let (roof, bound) = ceilings.roof(family, flops, bytes);
                cost.dispatches += 1;
                cost.flops += flops;
                cost.bytes += bytes;
                roofs.entry(op).or_default()[bound as usize] += roof;
            }
        }
        let mut ops: Vec<OpCost> = ops.into_values().collect();
        for cost in &mut ops {
            let [compute, memory] = roofs[cost.op];
            let bound = if compute >= memory { Bound::Compute } else { Bound::Memory };
            cost.roof = (compute + memory > 0.0).then_some((compute + memory, bound));
        }
        ops.sort_by(|a, b| b.seconds.best().total_cmp(&a.seconds.best()));
        Ok(ops)
    }
}

/// How often, and in tiles of how many.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub tile: Option<usize>,
    pub rounds: usize,
}

/// Values alone.
pub(super) fn forward(mut ready: Ready, ceilings: &Ceilings, effort: Effort) -> Result<Cost> {
    let seconds = (0..effort.rounds).map(|_| ready.time()).collect::<Result<_>>()?;
    Ok(Cost {
        what: "forward",
        per: "evaluation".into(),
        evaluations: 1.0,
        flops: ready.executor.program().flops() as f64,
        tile: ready.lanes,
        seconds: Seconds(seconds),
        more: vec![],
        note: None,
        ops: ready.ops(ceilings, effort.rounds.min(OP_ROUNDS))?,
    })
}

/// Values with K tangents, and in turns as many lanes of values alone: what a tangent costs more than an evaluation.
pub(super) fn tangents(gpu: &Gpu, model: &Model, k: u32, ceilings: &Ceilings, effort: Effort) -> Result<Cost> {
    let mut ready = Ready::new(gpu, model, [k, 0], effort.tile)?;
    let mut plain = Ready::new(gpu, model, [0, 0], Some(ready.lanes))?;
    let (mut seconds, mut ratios) = (vec![], vec![]);
    let group = f64::from(k + 1);
    for _ in 0..effort.rounds {
        let lane = ready.time()?;
        ratios.push(lane / plain.time()?);
        seconds.push(lane * group);
    }
    drop(plain);
    let ratios = Seconds(ratios);
    let (median, low, high) = (ratios.median(), ratios.best(), ratios.worst());
    Ok(Cost {
        what: "tangents",
        per: format!("sample of 1 + {k}"),
        evaluations: group,
        flops: ready.executor.program().flops() as f64 * group,
        tile: ready.lanes,
        seconds: Seconds(seconds),
        more: vec![("tangents", k.into()), ("over_forward", json!({ "best": low, "median": median, "worst": high }))],
        note: Some(format!(
            "A lane with tangents takes {median:.3} times a forward evaluation in a tile as large ({low:.3} to {high:.3})."
        )),
        ops: ready.ops(ceilings, effort.rounds.min(OP_ROUNDS))?,
    })
}

/// Values with K cotangents, and in turns values with one and values alone in tiles as large: what the first cotangent and a further
/// one cost, in forward evaluations, and what their operations alone would come to.
pub(super) fn cotangents(gpu: &Gpu, model: &Model, k: u32, ceilings: &Ceilings, effort: Effort) -> Result<Cost> {
    let mut ready = Ready::new(gpu, model, [0, k], effort.tile)?;
    let mut one = Ready::new(gpu, model, [0, 1], Some(ready.lanes))?;
    let mut plain = Ready::new(gpu, model, [0, 0], Some(ready.lanes))?;
    let group = f64::from(k + 1);
    let (mut all, mut ones, mut seconds, mut further) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.rounds {
        let [whole, first, forward] = [ready.time()? * group, one.time()? * 2.0, plain.time()?];
        all.push(whole / forward);
        ones.push(first / forward);
        further.push((whole - first) / f64::from(k.max(2) - 1) / forward);
        seconds.push(whole);
    }
    let flops = |ready: &Ready, group: f64| ready.executor.program().flops() as f64 * group;
    let [whole, first, forward] = [flops(&ready, group), flops(&one, 2.0), flops(&plain, 1.0)];
    drop((one, plain));
    let by_operations = [first / forward, (whole - first) / f64::from(k.max(2) - 1) / forward];
    let [all, ones, further] = [all, ones, further].map(Seconds);
    let range = |s: &Seconds| json!({ "best": s.best(), "median": s.median(), "worst": s.worst() });
    let said = |s: &Seconds, by: f64| {
        format!("{:.3} forward evaluations ({:.3} to {:.3}; {by:.3} by operations)", s.median(), s.best(), s.worst())
    };
    let more = match k {
        1 => String::new(),
        _ => format!(", and each further one {}", said(&further, by_operations[1])),
    };
    Ok(Cost {
        what: "cotangents",
        per: format!("sample of 1 + {k}"),
        evaluations: group,
        flops: whole,
        tile: ready.lanes,
        seconds: Seconds(seconds),
        more: vec![
            ("cotangents", k.into()),
            ("over_forward", range(&all)),
            ("one_over_forward", range(&ones)),
            ("further_over_forward", if k == 1 { Value::Null } else { range(&further) }),
            (
                "operations_over_forward",
                json!({ "one": by_operations[0], "further": (k > 1).then_some(by_operations[1]) }),
            ),
        ],
        note: Some(format!("A value with one cotangent takes {}{more}.", said(&ones, by_operations[0]))),
        ops: ready.ops(ceilings, effort.rounds.min(OP_ROUNDS))?,
    })
}
