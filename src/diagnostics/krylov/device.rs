//! Products of problems on the device: what some of them ask for, in one batch. In: points, vectors. Out: products in f64, NaN where
//! the field is not finite.
use super::{Problem, Vectors, round};
use crate::diagnostics::Derivatives;
use crate::error::Result;
use crate::run::{Progress, Whose};

impl Derivatives {
    /// Takes problems at the points `x` to their ends. Each is handed on in its turn, as soon as it and all before it are done: its
    /// number, and how many evaluations it took.
    pub fn solve<P: Problem>(
        &mut self,
        x: &[f32],
        at: &Whose,
        problems: &mut [P],
        mut done: impl FnMut(&mut Progress, usize, u64, &P) -> Result<()>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (mut lanes, mut next) = (vec![0; problems.len()], 0);
        loop {
            let any = round(problems, |numbers, asked| {
                let [forward, reverse] = asked.first().map_or([0; 2], Vectors::counts);
                numbers.iter().for_each(|&i| lanes[i] += self.lanes(forward.max(reverse)));
                self.of_problems(x, at, numbers, &asked, progress)
            })?;
            while let Some(problem) = problems.get(next).filter(|p| p.asks().is_none()) {
                done(progress, next, lanes[next], problem)?;
                next += 1;
            }
            if !any {
                return Ok(());
            }
        }
    }

    /// J and J' times the vectors that problems ask for at their points: those of these numbers among `x`, all alike in how many
    /// there are.
    fn of_problems(
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
