//! What the page says and shows of each measure, in the order of its chapters. In: nothing. Out: `CHAPTERS`.
//! A measure without a line here still gets its tables.

/// One measure.
pub struct Chapter {
    /// As in the manifest.
    pub measure: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is measured and how it is read, for a person who does not know.
    pub prose: &'static str,
    /// Columns of the open table and their labels; the first decides what counts as resolved.
    pub shown: &'static [(&'static str, &'static str)],
    /// Columns with a box plot of their sizes: column, title, label of the axis.
    pub figures: &'static [(&'static str, &'static str, &'static str)],
}

/// Of a measure that has no line of its own.
pub const OTHER: Chapter = Chapter { measure: "", title: "Other measures", prose: "", shown: &[], figures: &[] };

/// Every measure with a chapter.
#[rustfmt::skip]
pub const CHAPTERS: &[Chapter] = &[
    Chapter {
        measure: "circulation",
        title: "Circulation",
        prose: "The integral of a gradient around any closed path is zero. Γ = ∮ s·dx is that integral of the learned field s, \
                one loop per path, timestep and sample; what it is beyond its errors is not a gradient. The normalisations \
                say how large it is: M = ∮|x||dx| is the work of the flow −x, L the loop's length, S = ∮|s·dx| what would \
                be left if nothing cancelled, R = ∮|s||dx| the most that a field of this strength allows.",
        shown: &[("abs_integral", "|Γ|"), ("integral_over_norm_sum", "|Γ|/M"), ("integral_over_abs", "|Γ|/S")],
        figures: &[
            ("abs_integral", "Circulation", "|Γ|  (nat)"),
            ("integral_over_abs", "Share of the field's work that does not cancel", "|Γ| / S  (scale-free)"),
            ("integral_over_norm_sum", "Circulation relative to the flow −x", "|Γ| / M  (nat/x²)"),
            ("integral_over_length", "Circulation per unit of path length", "|Γ| / L  (nat/x)"),
            ("integral_over_score_norm", "Circulation relative to the field's strength", "|Γ| / R  (scale-free)"),
        ],
    },
    Chapter {
        measure: "curl",
        title: "Curl",
        prose: "The Jacobian of a gradient is symmetric. J_ab = ∂s_a/∂x_b is taken between random components of each sample; \
                |J_ab − J_ba| over all pairs is how asymmetric the learned score is.",
        shown: &[("asymmetry", "|J_ab − J_ba|"), ("entry_rms", "rms J_ab"), ("sub_nasym", "|B − B′|²/4|B|²")],
        figures: &[
            ("asymmetry", "All pairs of all samples, score", "|J_ab − J_ba|  (nat/x²)"),
            ("raw_asymmetry", "Medians by sample, network's raw output", "|J_ab − J_ba|  (1/x)"),
        ],
    },
    Chapter {
        measure: "asymmetry",
        title: "Asymmetry of the whole Jacobian",
        prose: "nasym = |J − J′|² / 4|J|² is 0 for a gradient and 1 for an antisymmetric Jacobian. It is estimated with random \
                tangents, without ever holding J.",
        shown: &[("nasym", "nasym"), ("fro2", "|J|²"), ("trace", "tr J"), ("trace2", "tr J²")],
        figures: &[("nasym", "nasym by sample", "|J − J′|² / 4|J|²")],
    },
    Chapter {
        measure: "stein",
        title: "Stein operator",
        prose: "e = s − s_θ is the score's error and S = ∇·e + s·e. For s the score that made the samples the mean of S is \
                zero, for any model; |e| against the conditional score includes a gap that no training removes.",
        shown: &[("stein", "S"), ("error_norm", "|e|")],
        figures: &[("error_norm", "Error field of the learned score", "|e| = |s − s_θ|  (nat/x)")],
    },
    Chapter {
        measure: "jacobian",
        title: "Full Jacobians",
        prose: "All of J_ab = ∂s_a/∂x_b at noisy samples, in few dimensions. It is symmetric for a gradient.",
        shown: &[("asymmetry_max", "max |J_ab − J_ba|"), ("nasym", "|J − J′|²/4|J|²"), ("fro2", "|J|²"), ("trace", "tr J")],
        figures: &[
            ("asymmetry_max", "Largest difference of two entries", "max |J_ab − J_ba|  (nat/x²)"),
            ("nasym", "Share of the antisymmetric part", "|J − J′|² / 4|J|²"),
        ],
    },
    Chapter {
        measure: "likelihood",
        title: "Likelihood",
        prose: "Bits per dimension of each sample by the probability-flow ODE. Less is better; it is a property of the learned \
                field's flow and says by itself nothing of gradients.",
        shown: &[("bits_per_dim", "bits per dimension"), ("log_likelihood", "ln p₀"), ("flow", "flow")],
        figures: &[],
    },
];
