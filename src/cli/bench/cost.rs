//! What one thing costs: the seconds of every round, what was computed in them, and where they went, op by op, against what
//! the adapter can do at best. In: measured times. Out: lines for people and keys for programs.
use super::super::text::table;
use crate::ceilings::Bound;
use serde_json::{Value, json};

/// Seconds by round; at least one.
#[derive(Clone, Debug)]
pub(super) struct Seconds(pub Vec<f64>);

impl Seconds {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub fn best(&self) -> f64 {
        self.sorted()[0]
    }

    pub fn median(&self) -> f64 {
        self.sorted()[self.0.len() / 2]
    }

    pub fn worst(&self) -> f64 {
        self.sorted()[self.0.len() - 1]
    }

    pub fn json(&self) -> Value {
        json!({ "best": self.best(), "median": self.median(), "worst": self.worst(), "all": self.0 })
    }
}

/// All dispatches of one op, per evaluation.
#[derive(Clone, Debug)]
pub(super) struct OpCost {
    pub op: &'static str,
    pub dispatches: usize,
    pub seconds: Seconds,
    pub flops: f64,
    pub bytes: f64,
    /// Fewest seconds that the adapter's ceilings allow, and which of them says so; none of image updates, which compute
    /// nothing and as a rule move nothing.
    pub roof: Option<(f64, Bound)>,
}

/// One thing that was timed.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    pub what: &'static str,
    /// What the seconds are of.
    pub per: String,
    /// Evaluations in one of it, a tangent counted as one.
    pub evaluations: f64,
    /// Floating-point operations in one of it.
    pub flops: f64,
    /// Evaluations at a time.
    pub tile: usize,
    pub seconds: Seconds,
    /// What else is known of it: names and values.
    pub more: Vec<(&'static str, Value)>,
    /// A line about it, if there is more to say.
    pub note: Option<String>,
    /// Slowest first; empty where only the whole was timed.
    pub ops: Vec<OpCost>,
}

impl Cost {
    pub fn json(&self) -> Value {
        let total: f64 = self.ops.iter().map(|o| o.seconds.best()).sum();
        let op = |o: &OpCost| {
            let best = o.seconds.best();
            json!({
                "op": o.op, "dispatches": o.dispatches, "seconds_per_evaluation": o.seconds.json(), "share": best / total,
                "flops": o.flops, "bytes": o.bytes, "flops_per_second": o.flops / best, "bytes_per_second": o.bytes / best,
                "bound": o.roof.map(|r| r.1.name()), "of_ceiling": o.roof.map(|r| r.0 / best),
            })
        };
        let mut all = json!({
            "what": self.what, "per": self.per, "evaluations": self.evaluations, "flops": self.flops, "tile": self.tile,
            "seconds": self.seconds.json(), "evaluations_per_second": self.evaluations / self.seconds.best(),
            "ops": self.ops.iter().map(op).collect::<Vec<_>>(),
        });
        for (name, value) in &self.more {
            all[*name] = value.clone();
        }
        all
    }

    /// Where its time goes, if that was timed.
    pub fn shares(&self) -> String {
        if self.ops.is_empty() {
            return String::new();
        }
        let total: f64 = self.ops.iter().map(|o| o.seconds.best()).sum();
        let row = |o: &OpCost| {
            let best = o.seconds.best();
            [
                o.op.to_string(),
                o.dispatches.to_string(),
                format!("{:.3}", best * 1e3),
                format!("{:.1}%", 100.0 * best / total),
                format!("{:.2}", o.flops / best / 1e9),
                format!("{:.2}", o.bytes / best / 1e9),
                o.roof.map_or("", |r| r.1.name()).into(),
                o.roof.map_or(String::new(), |r| format!("{:.0}%", 100.0 * r.0 / best)),
            ]
        };
        let headings = [
            (self.what, false),
            ("dispatches", true),
            ("ms/eval", true),
            ("share", true),
            ("GFLOP/s", true),
            ("GB/s", true),
            ("bound by", false),
            ("of ceiling", true),
        ];
        format!("{}\n", table(headings, &self.ops.iter().map(row).collect::<Vec<_>>()))
    }
}

/// What everything costs, a line each.
pub(super) fn lines(costs: &[Cost]) -> String {
    let row = |c: &Cost| {
        let best = c.seconds.best();
        let [low, middle, high] = [best, c.seconds.median(), c.seconds.worst()].map(|s| format!("{:.3}", s * 1e3));
        let (rate, work) = (c.evaluations / best, c.flops / best / 1e9);
        let (n, tile) = (format!("{:.0}", c.evaluations), c.tile.to_string());
        [c.what.into(), c.per.clone(), n, tile, low, middle, high, format!("{rate:.1}"), format!("{work:.2}")]
    };
    let headings = [
        ("what", false),
        ("per", false),
        ("evals", true),
        ("tile", true),
        ("best ms", true),
        ("median", true),
        ("worst", true),
        ("evals/s", true),
        ("GFLOP/s", true),
    ];
    let notes: String = costs.iter().flat_map(|c| &c.note).map(|note| format!("{note}\n")).collect();
    format!("{}{notes}\n", table(headings, &costs.iter().map(row).collect::<Vec<_>>()))
}
