//! Products of problems on the device: what some of them ask for, in one batch. In: points, vectors. Out: products in f64, NaN where
//! the field is not finite.
use super::Vectors;
use crate::diagnostics::Derivatives;
use crate::error::Result;
use crate::run::{Progress, Whose};

impl Derivatives {
    /// J and J' times the vectors that problems ask for at their points: those of these numbers among `x`, all alike in how many
    /// there are.
    pub fn of_problems(
        &mut self,
        x: &[f32],
        at: &Whose,
        numbers: &[usize],
        asked: &[Vectors],
        progress: &mut Progress,
    ) -> Result<Vec<Vectors>> {
        let d = x.len() / at.samples.len().max(1);
        let points: Vec<f32> = numbers.iter().flat_map(|&i| &x[i * d..(i + 1) * d]).copied().collect();
        let samples: Vec<usize> = numbers.iter().map(|&i| at.samples[i]).collect();
        let [forward, reverse] = asked.first().map_or([0; 2], Vectors::counts);
        let write = |to: &mut [f32], from: Option<&Vec<f64>>| {
            to.iter_mut().zip(from.into_iter().flatten()).for_each(|(to, from)| *to = *from as f32);
        };
        let read = |from: &[f32]| from.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let empty = Vectors { forward: vec![vec![]; forward], reverse: vec![vec![]; reverse] };
        let mut found = vec![empty; asked.len()];
        // Where one mode has fewer vectors than the other, the rest are zeros.
        self.run_pairs(
            &points,
            &Whose { samples: &samples, ..*at },
            forward.max(reverse),
            |point, j, v, u| {
                write(v, asked[point].forward.get(j));
                write(u, asked[point].reverse.get(j));
            },
            |point, j, jv, jtu| {
                found[point].forward.get_mut(j).into_iter().for_each(|own| *own = read(jv));
                found[point].reverse.get_mut(j).into_iter().for_each(|own| *own = read(jtu));
            },
            progress,
        )?;
        Ok(found)
    }
}
