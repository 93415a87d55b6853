//! Evaluators of a field, planned once and kept. In: how many tangents and cotangents, which timesteps, how many samples. Out: an
//! evaluator that has room for them; what was planned for too little is planned anew.
use std::collections::BTreeSet;
use std::sync::Arc;
use vorticity::error::Result;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::field::{Field, evaluator, product_evaluator, tangent_evaluator};
use vorticity::gpu::Gpu;

/// Plans that are kept; each holds the field's weights on the device.
const KEPT: usize = 4;
/// Timesteps, times conditions, up to which a plan that must be made anew is made for all of a process.
const ALL: usize = 4096;

/// A plan, and what it was made for.
struct Plan {
    tangents: usize,
    cotangents: usize,
    timesteps: BTreeSet<usize>,
    samples: usize,
    evaluator: Evaluator,
}

/// The plans of a field on a device, the last used at the end.
pub struct Plans {
    field: Arc<dyn Field>,
    gpu: Gpu,
    all: Vec<Plan>,
}

impl Plans {
    /// None yet.
    pub fn new(field: Arc<dyn Field>, gpu: Gpu) -> Self {
        Self { field, gpu, all: vec![] }
    }

    /// The evaluator for so many directions of each sample, or for as many as fit. What it is asked for later, it knows.
    pub fn get(&mut self, [tangents, cotangents]: [usize; 2], ks: &[usize], samples: usize) -> Result<&mut Evaluator> {
        let found = self.all.iter().position(|p| (p.tangents, p.cotangents) == (tangents, cotangents));
        let old = found.map(|at| self.all.remove(at));
        let fits = |p: &Plan| p.samples >= samples && ks.iter().all(|k| p.timesteps.contains(k));
        let plan = match old {
            Some(plan) if fits(&plan) => plan,
            old => self.made([tangents, cotangents], ks, samples, old)?,
        };
        self.all.push(plan);
        let last = self.all.len() - 1;
        Ok(&mut self.all[last].evaluator)
    }

    /// A plan in the place of one that has too little room, or that is not there.
    fn made(&mut self, directions: [usize; 2], ks: &[usize], samples: usize, old: Option<Plan>) -> Result<Plan> {
        let steps = self.field.process().timesteps();
        for &k in ks {
            self.field.process().noise(k)?; // refused by what timesteps there are
        }
        let mut timesteps: BTreeSet<usize> = ks.iter().copied().collect();
        let mut room = samples.max(1);
        if let Some(old) = &old {
            if !timesteps.is_subset(&old.timesteps) {
                // Who asks for others once will ask for more.
                let all = steps.saturating_mul(self.field.conditions()) <= ALL;
                timesteps = if all { (0..steps).collect() } else { timesteps.union(&old.timesteps).copied().collect() };
            } else {
                timesteps = old.timesteps.clone();
            }
            room = room.next_power_of_two().max(old.samples);
        }
        drop(old); // its memory is needed for the next
        if self.all.len() >= KEPT {
            self.all.remove(0);
        }
        let [tangents, cotangents] = directions;
        let (list, field) = (timesteps.iter().copied().collect::<Vec<_>>(), &self.field);
        let asked = Room { samples: room, tangents, cotangents };
        let evaluator = match directions {
            [0, 0] => evaluator(&self.gpu, field, &list, room)?,
            [_, 0] => tangent_evaluator(&self.gpu, field, &list, asked)?,
            _ => product_evaluator(&self.gpu, field, &list, asked)?,
        };
        Ok(Plan { tangents, cotangents, timesteps, samples: room, evaluator })
    }
}
