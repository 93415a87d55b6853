//! Both halves of a Jacobian along a vector: A v = (J v - J'v)/2 and H v = (J v + J'v)/2. In: J v and J'v. Out: the halves in
//! f64, and how far they are from those of the f64 twin, which is what their squares are uncertain by.
use super::derivatives::Derivatives;
use super::numbers::{finite, largest};
use crate::dual::Dual;
use crate::error::Result;
use crate::field::Field;
use crate::run::{Progress, Whose};
use std::ops::ControlFlow;

/// (A v, H v), component by component.
pub(crate) fn halves<'a>(jv: &'a [f32], jtv: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let half = |(&a, &b): (&f32, &f32)| {
        let (a, b) = (f64::from(a), f64::from(b));
        ((a - b) / 2.0, (a + b) / 2.0)
    };
    jv.iter().zip(jtv).map(half)
}

/// How far products with one vector are from those of the f64 twin, in units of sqrt((|J v|^2 + |J'v|^2)/2), of the twin; NaN
/// where the field is not finite.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Gaps {
    /// |A v - f64|
    pub anti: f64,
    /// |H v - f64|
    pub sym: f64,
    /// The larger of |J v - f64| and |J'v - f64|.
    pub products: f64,
    /// The largest component of A v - f64, and of H v - f64.
    pub component: [f64; 2],
    /// That unit.
    pub size: f64,
}

impl Gaps {
    /// Where nothing was compared.
    pub const NONE: Gaps =
        Gaps { anti: f64::NAN, sym: f64::NAN, products: f64::NAN, component: [f64::NAN; 2], size: f64::NAN };

    /// The larger ones of two comparisons; what is NaN in one is that of the other.
    pub fn max(self, other: Gaps) -> Gaps {
        Gaps {
            anti: self.anti.max(other.anti),
            sym: self.sym.max(other.sym),
            products: self.products.max(other.products),
            component: [0, 1].map(|i| self.component[i].max(other.component[i])),
            size: self.size.max(other.size),
        }
    }

    /// Of the device's J v and J'v and the twin's.
    pub fn of([jv, jtv]: [&[f32]; 2], [twin, transposed]: [&[f64]; 2]) -> Gaps {
        let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|v| v * v).sum::<f64>().sqrt();
        let size = norm(&mut twin.iter().chain(transposed).map(|v| v / 2f64.sqrt())).max(f64::MIN_POSITIVE);
        let off: Vec<[f64; 2]> = (0..twin.len())
            .map(|i| [(f64::from(jv[i]) - twin[i]) / size, (f64::from(jtv[i]) - transposed[i]) / size])
            .collect();
        let half = |sign: f64| off.iter().map(move |[a, b]| (a + sign * b) / 2.0);
        let most = |sign: f64| largest(half(sign).map(f64::abs));
        Gaps {
            anti: norm(&mut half(-1.0)),
            sym: norm(&mut half(1.0)),
            products: largest((0..2).map(|i| norm(&mut off.iter().map(|o| o[i])))),
            component: [most(-1.0), most(1.0)],
            size,
        }
    }
}

/// What |A|^2 = E |A v|^2 is off by at most where each A v is off by `gap` |J v|, both in units of |J|^2: of a vector a that is
/// measured as m = a + n, |m|^2 - |a|^2 = 2 m.n - |n|^2, which is at most 2 |m| |n| + |n|^2, and the mean of that over probes at most
/// what it is of the means of |m|^2 and |n|^2 (Cauchy and Schwarz). `share` is |A|^2/|J|^2 as measured.
pub(crate) fn of_square(share: f64, gap: f64) -> f64 {
    2.0 * gap * share.max(0.0).sqrt() + gap * gap
}

/// Products with one vector at one point of a sample, as the device makes them once more.
pub(crate) struct Again {
    x: Vec<f32>,
    v: Vec<f32>,
    /// Timestep k, sample.
    at: (usize, usize),
    jv: Vec<f32>,
    jtv: Vec<f32>,
}

impl Again {
    /// How far they are from those in f64.
    pub fn gaps(&self, field: &dyn Field) -> Result<Gaps> {
        let Again { x, v, at: (k, sample), jv, jtv } = self;
        let twin: Vec<f64> = field.twin(&Dual::along(x, v), *k, *sample)?.iter().map(|y| y.d).collect();
        let [point, cotangent] = [x, v].map(|row| row.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        let transposed = field.twin_vjp(&point, &cotangent, *k, *sample)?;
        Ok(Gaps::of([jv, jtv], [&twin, &transposed]))
    }

    /// The most by which products are off from those in f64, in units of `size`; `of`: which of the gaps. NaN of none; a product of
    /// nothing is off by nothing.
    pub fn off(all: &[Again], field: &dyn Field, (of, size): (fn(&Gaps) -> f64, f64)) -> Result<f64> {
        let mut worst = f64::NAN;
        for again in all {
            let gaps = again.gaps(field)?;
            worst = worst.max(if size > 0.0 { of(&gaps) * gaps.size / size } else { 0.0 });
        }
        Ok(worst)
    }
}

impl Derivatives {
    /// J v and J'v of one vector at one point of a sample, once more on the device.
    pub fn again(&mut self, x: &[f32], v: &[f32], at: (usize, usize)) -> Result<Again> {
        let mut found = [vec![], vec![]];
        // What a check evaluates is no part of the run's evaluations, and what is not finite was looked into.
        let mut observe = |_| ControlFlow::Continue(());
        self.run_both(
            x,
            &Whose { k: at.0, what: "sample", samples: &[at.1] },
            1,
            |_, _, own| own.copy_from_slice(v),
            |_, _, jv, jtv| found = [jv.to_vec(), jtv.to_vec()],
            &mut Progress { origin: Some(String::new()), ..Progress::new(&mut observe) },
        )?;
        let [jv, jtv] = found;
        Ok(Again { x: x.to_vec(), v: v.to_vec(), at, jv, jtv })
    }

    /// The same of all those vectors that are finite.
    pub fn again_each(&mut self, x: &[f32], vectors: &[f32], at: (usize, usize)) -> Result<Vec<Again>> {
        vectors.chunks_exact(x.len()).filter(|v| finite(v)).map(|v| self.again(x, v, at)).collect()
    }
}
