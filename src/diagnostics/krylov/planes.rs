//! The planes in which A = (J - J')/2 turns fastest: A = sum_j omega_j (u_j w_j' - w_j u_j'), largest omega first, and |A|.
//! In: products with J and J'. Out: planes, each with the residual of its own products; |A|^2 with its standard error.
//!
//! T of `lanczos` is brought to a skew tridiagonal matrix, whose odd and even rows and columns hold a bidiagonal one, B; the
//! singular values of B are the omegas, and its singular vectors the planes (Ward and Gray, 1978). All in real arithmetic, and
//! u, w are orthonormal also where omegas repeat or are zero.
use super::lanczos::{Half, Lanczos};
use super::{Limits, Problem, Vectors, add, dot, norm, rounded};
use crate::paths::philox::Stream;
use crate::summary::stats::mean;
use nalgebra::{DMatrix, DVector, Hessenberg, SVD};

/// A plane.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane {
    /// A w = omega u, A u = -omega w; not negative.
    pub omega: f64,
    /// sqrt(|A w - omega u|^2 + |A u + omega w|^2), of products of these vectors.
    pub residual: f64,
    /// Orthonormal, each number one of f32; where the plane is longest, w is 0 and u positive.
    pub u: Vec<f64>,
    pub w: Vec<f64>,
}

/// A plane of T, before it is one of A.
struct Small {
    omega: f64,
    /// Residual as the recurrence says it.
    left: f64,
    u: DVector<f64>,
    w: DVector<f64>,
}

/// How far it is.
enum Stage {
    Growing,
    /// The planes' own vectors are multiplied.
    Checking(Vec<Plane>),
    Done(Vec<Plane>),
}

/// The search for the fastest planes of one A.
pub(crate) struct Planes {
    count: usize,
    limits: Limits,
    lanczos: Lanczos,
    /// Random vectors v with E[v v'] = I, and A v of each once known.
    probes: Vec<Vec<f64>>,
    turned: Vec<Vec<f64>>,
    stage: Stage,
    /// The largest product of a unit vector with J or J'.
    size: f64,
}

impl Planes {
    /// `count` planes of vectors with `dim` components, at most half as many; `probes` are for |A|.
    pub fn new(dim: usize, count: usize, block: usize, limits: Limits, stream: Stream, probes: Vec<Vec<f64>>) -> Self {
        let lanczos = Lanczos::new(Half::Antisymmetric, dim, block, stream);
        Self { count, limits, lanczos, probes, turned: vec![], stage: Stage::Growing, size: 0.0 }
    }

    /// The planes, fastest first; NaN where a product was not finite. Empty until it is done.
    pub fn found(&self) -> &[Plane] {
        if let Stage::Done(planes) = &self.stage { planes } else { &[] }
    }

    /// The largest product of a unit vector with J or J', the scale of their rounding.
    pub fn size(&self) -> f64 {
        self.size.max(self.lanczos.size)
    }

    /// Products of blocks that it took.
    pub fn steps(&self) -> usize {
        self.lanczos.steps
    }

    /// |A|^2 and its standard error over the probes: 2 sum omega^2 of the planes, and E |(A - A_r) v|^2 for the rest, A_r being the
    /// planes' part of A. It holds for any orthonormal vectors with omega = (u'A w - w'A u)/2, as < A, A_r > = |A_r|^2 then.
    pub fn frobenius(&self) -> (f64, f64) {
        let planes = self.found();
        let rest = self.probes.iter().zip(&self.turned).map(|(v, turned)| {
            let mut rest = turned.clone();
            for Plane { omega, u, w, .. } in planes {
                let (along_u, along_w) = (dot(u, v), dot(w, v));
                add(&mut rest, -omega * along_w, u);
                add(&mut rest, omega * along_u, w);
            }
            dot(&rest, &rest)
        });
        let (rest, error) = mean(&rest.collect::<Vec<f64>>());
        (planes.iter().map(|p| 2.0 * p.omega * p.omega).sum::<f64>() + rest, error)
    }

    /// A field that is not finite has no planes: all their numbers are NaN.
    fn fail(&mut self) {
        let nan = vec![f64::NAN; self.probes.first().map_or(0, Vec::len)];
        let plane = Plane { omega: f64::NAN, residual: f64::NAN, u: nan.clone(), w: nan };
        self.stage = Stage::Done(vec![plane; self.count]);
    }

    /// The planes of T, fastest first, as many as are wanted or as there are.
    fn small(&self) -> Vec<Small> {
        let n = self.lanczos.len();
        let (turn, tridiagonal) = Hessenberg::new(self.lanczos.matrix()).unpack();
        let (rows, columns) = (n.div_ceil(2), n / 2);
        let b = DMatrix::from_fn(rows, columns, |i, j| tridiagonal[(2 * i, 2 * j + 1)]);
        let svd = SVD::new(b, true, true);
        let (Some(left), Some(right)) = (&svd.u, &svd.v_t) else { return vec![] };
        let small = |j: usize| {
            let mut u = DVector::zeros(n);
            (0..rows).for_each(|i| u[2 * i] = left[(i, j)]);
            let mut w = DVector::zeros(n);
            (0..columns).for_each(|i| w[2 * i + 1] = right[(j, i)]);
            let (u, w) = (&turn * u, &turn * w);
            let left = self.lanczos.left(u.iter()).hypot(self.lanczos.left(w.iter()));
            Small { omega: svd.singular_values[j], left, u, w }
        };
        (0..self.count.min(columns)).map(small).collect()
    }

    /// Goes to the next stage if the planes are good enough, or as good as they become.
    fn judge(&mut self) {
        if self.lanczos.len() < 2 * self.count {
            return;
        }
        let small = self.small();
        let Some(fastest) = small.first() else { return self.fail() };
        let bound = self.limits.bound(fastest.omega, self.size());
        let good = small.iter().all(|s| s.left <= bound);
        if good || self.lanczos.steps >= self.limits.steps || self.lanczos.asks().is_empty() {
            let plane = |s: &Small| {
                let (u, w) = in_phase(self.lanczos.basis.combined(s.u.iter()), self.lanczos.basis.combined(s.w.iter()));
                Plane { omega: s.omega, residual: s.left, u, w }
            };
            self.stage = Stage::Checking(small.iter().map(plane).collect());
        }
    }
}

impl Problem for Planes {
    fn asks(&self) -> Option<Vectors> {
        match &self.stage {
            Stage::Growing => {
                let probes = if self.turned.is_empty() { &self.probes[..] } else { &[] };
                Some(Vectors::both([&self.lanczos.asks()[..], probes].concat()))
            }
            Stage::Checking(planes) => {
                Some(Vectors::both(planes.iter().flat_map(|p| [p.u.clone(), p.w.clone()]).collect()))
            }
            Stage::Done(_) => None,
        }
    }

    fn gets(&mut self, mut products: Vectors) {
        if !products.is_finite() {
            return self.fail();
        }
        let a = |products: &Vectors, i: usize| Half::Antisymmetric.of(&products.forward[i], &products.reverse[i]);
        match std::mem::replace(&mut self.stage, Stage::Growing) {
            Stage::Growing => {
                let block = self.lanczos.asks().len();
                let own = products.take([block; 2]);
                self.lanczos.gets(&own);
                if self.turned.is_empty() {
                    self.turned = (0..self.probes.len()).map(|i| a(&products, i)).collect();
                }
                self.judge();
            }
            Stage::Checking(mut planes) => {
                self.size = self.size.max(products.largest());
                for (j, plane) in planes.iter_mut().enumerate() {
                    plane.check(a(&products, 2 * j), a(&products, 2 * j + 1));
                }
                planes.sort_by(|a, b| b.omega.total_cmp(&a.omega));
                self.stage = Stage::Done(planes);
            }
            done => self.stage = done,
        }
    }
}

impl Plane {
    /// omega and residual from A u and A w.
    fn check(&mut self, mut au: Vec<f64>, mut aw: Vec<f64>) {
        self.omega = (dot(&self.u, &aw) - dot(&self.w, &au)) / 2.0;
        if self.omega < 0.0 {
            // Noise alone can do that: the plane turns the other way.
            self.omega = -self.omega;
            self.w.iter_mut().chain(&mut aw).for_each(|v| *v = -*v);
        }
        add(&mut aw, -self.omega, &self.u);
        add(&mut au, self.omega, &self.w);
        self.residual = norm(&aw).hypot(norm(&au));
    }
}

/// The same plane, turned within itself so that at its longest component, where u^2 + w^2 is largest, w is 0 and u positive.
fn in_phase(u: Vec<f64>, w: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let length = |i: usize| u[i] * u[i] + w[i] * w[i];
    let longest = (0..u.len()).fold(0, |most, i| if length(i) > length(most) { i } else { most });
    let long = length(longest).sqrt();
    let (cos, sin) = (u[longest] / long, w[longest] / long);
    let turned = |i: usize| (cos * u[i] + sin * w[i], cos * w[i] - sin * u[i]);
    let (u, mut w): (Vec<f64>, Vec<f64>) = (0..u.len()).map(turned).unzip();
    w[longest] = 0.0;
    (rounded(u), rounded(w))
}
