//! Which errors apply to what: the types in which a measure says it, and the sizes that follow for a table. In: a measure's
//! rules, a table. Out: errors in the unit of their statistic.
use super::table::Table;

/// One place of a table, where an error's size is computed.
pub struct At<'a> {
    table: &'a Table,
    place: usize,
}

impl At<'_> {
    /// A column there; NaN if the table does not have it.
    pub fn get(&self, column: &str) -> f64 {
        self.table.column(column).map_or(f64::NAN, |c| c.values[self.place])
    }

    /// sigma of the timestep there; NaN if the table has none.
    pub fn sigma(&self) -> f64 {
        self.table.sigma(self.place).unwrap_or(f64::NAN)
    }

    /// A number among the table's facts; NaN if it is not there.
    pub fn fact(&self, name: &str) -> f64 {
        self.table.facts[name].as_f64().unwrap_or(f64::NAN)
    }
}

/// An error that applies to a statistic.
pub struct Applied {
    /// Its heading: the column that it comes from.
    pub name: &'static str,
    /// In the unit of the statistic.
    pub size: fn(&At) -> f64,
    /// False where it cannot arise, such as the step of differences where there are none.
    pub applies: fn(&Table) -> bool,
}

impl Applied {
    /// An error that always applies.
    pub const fn always(name: &'static str, size: fn(&At) -> f64) -> Self {
        Applied { name, size, applies: |_| true }
    }
}

/// Statistics of a measure, and every error that applies to them. What is in no rule has no errors and no verdict.
pub struct Rule {
    /// Columns.
    pub statistics: &'static [&'static str],
    /// By the columns that they come from.
    pub errors: &'static [Applied],
}

/// The errors that apply to a statistic, by the column that they come from.
pub type Errors = Vec<(&'static str, Vec<f64>)>;

/// Every statistic of a table to which errors apply by these rules, with their sizes in its unit at every place, none
/// negative; NaN where not measured.
pub fn of_rules(rules: &[Rule], table: &Table) -> Vec<(&'static str, Errors)> {
    let places = table.columns.first().map_or(0, |c| c.values.len());
    let mut found = vec![];
    for rule in rules {
        let sizes = |applied: &Applied| {
            let size = |place| (applied.size)(&At { table, place }).abs();
            (applied.name, (0..places).map(size).collect())
        };
        let errors: Errors = rule.errors.iter().filter(|e| (e.applies)(table)).map(sizes).collect();
        found.extend(rule.statistics.iter().map(|name| (*name, errors.clone())));
    }
    found
}
