//! What runs on a device got over, and how that is said. In: troubles, as `recovery` notes them. Out: sentences.

/// What a run on a device got over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// True if the device was lost and opened again, false if it was out of memory.
    pub lost: bool,
    /// What the device said, and where.
    pub message: String,
    /// Lanes that there is room for since.
    pub lanes: usize,
}

/// Troubles in words, one line of each kind.
pub(super) fn told(all: &[Trouble]) -> Vec<String> {
    let of = |lost: bool| {
        let mut of = all.iter().filter(move |t| t.lost == lost);
        let first = of.next()?;
        Some((1 + of.count(), first))
    };
    let lanes = all.iter().rev().find(|t| !t.lost).map_or(0, |t| t.lanes);
    let memory = of(false).map(|(n, first)| {
        format!(
            "out of memory {n} times, first: {}; tiles have {lanes} lanes since, with the same results",
            first.message
        )
    });
    let lost = of(true).map(|(n, first)| {
        format!("device lost and opened again {n} times, first: {}; its tiles were run again", first.message)
    });
    memory.into_iter().chain(lost).collect()
}
