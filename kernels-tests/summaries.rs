//! The verdict in two sentences: of fields whose answer is known, for every kind of verdict, for several measures, and of what was
//! not finite, not there, or one place alone.
use crate::circulation::{closed, images, write_mixture};
use crate::common::gpu;
use crate::page::table;
use std::sync::Arc;
use tempfile::TempDir;
use vorticity::field::{self, Field, ScoreScale};
use vorticity::measures::{MEASURES, find};
use vorticity::run::{Setting, Settings, Table};
use vorticity::session::Session;
use vorticity::shape::Shape;
use vorticity::spec::Spec;
use vorticity::summary::verdict::{rows, summary, text};

const SHAPE: Shape = Shape::new(1, 3, 3);

/// A measure of a field at two timesteps of three samples, asked also this.
fn measure(name: &str, field: Arc<dyn Field>, asked: &[(&str, Setting)]) -> Table {
    let mut settings = Settings::of(find(name).unwrap()).unwrap();
    settings.set("timesteps", Setting::Text("100,900".into())).unwrap();
    settings.set("samples", Setting::Count(3)).unwrap();
    asked.iter().for_each(|(name, value)| settings.set(name, value.clone()).unwrap());
    let session = Session::new(vec![gpu().clone()], field, images(SHAPE, 3)).unwrap();
    session.table(session.task(&settings).unwrap().as_ref()).unwrap()
}

fn circulation(field: Arc<dyn Field>, paths: &[&str], fraction: f64) -> Table {
    let paths = Setting::List(paths.iter().map(|p| Spec::from(*p)).collect());
    let asked = [("paths", paths), ("points", Setting::Count(100)), ("verify-fraction", Setting::Number(fraction))];
    measure("circulation", field, &asked)
}

fn mixture(dir: &TempDir) -> Arc<dyn Field> {
    let file = dir.path().join("m.safetensors");
    write_mixture(&file, SHAPE, 2);
    field::open(format!("field:mixture?file={}", file.display()), Some(SHAPE), ScoreScale::Definition).unwrap()
}

/// Two sentences, in which every number is one.
fn two(table: &Table) -> String {
    let said = summary(table).unwrap();
    assert_eq!(said.matches(". ").count(), 1, "{said}");
    assert!(said.ends_with('.') && !said.contains("NaN") && !said.contains("  "), "{said}");
    assert!(said.chars().next().unwrap().is_uppercase(), "{said}");
    said
}

#[test]
fn a_rotor_circulates_and_turns() {
    let rotor = || closed("field:rotor?omega=1", SHAPE);
    let said = two(&circulation(rotor(), &["rotation"], 0.1));
    for part in [
        "On rotation loops the field circulates: |Γ| is from ",
        ", resolved at all 2 timesteps. Every error that applies was measured (rounding, quadrature and arithmetic), and where |Γ| is \
         resolved the largest is that of ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let both = circulation(rotor(), &["rotation", "projection"], 0.1);
    let said = two(&both);
    assert!(said.starts_with("The field circulates: |Γ| is from ") && said.contains(" loops"), "{said}");
    assert_eq!((text(&both).unwrap().lines().count(), rows(&both).unwrap().len()), (2, 2));
    assert_eq!(rows(&both).unwrap()[1]["path"], "projection");
    let all = [("probes", Setting::Text("all".into()))];
    let said = two(&measure("asymmetry", rotor(), &all));
    assert!(said.starts_with("The Jacobian is asymmetric: nasym is from 1.00 "), "{said}");
    assert!(said.contains("(nasym_se and arithmetic)"), "{said}");
    let said = two(&measure("planes", rotor(), &[("planes", Setting::Count(2))]));
    assert!(said.starts_with("The field turns: ω is from ") && said.contains(" nat/x² at k = "), "{said}");
    assert!(said.contains(" in plane 1") && said.contains("resolved at all 4 places"), "{said}");
}

#[test]
fn a_gradient_is_indistinguishable_from_zero() {
    let scratch = TempDir::new().unwrap();
    let gaussian = || closed("field:gaussian", SHAPE);
    for field in [gaussian(), mixture(&scratch)] {
        let said = two(&circulation(field, &["rotation"], 0.1));
        assert!(said.contains("|Γ| is indistinguishable from zero at this precision at all 2 timesteps. "), "{said}");
        assert!(said.contains("and |Γ| is under 3 times the largest; at worst |Γ| = "), "{said}");
    }
    for (name, label) in [("asymmetry", "nasym"), ("planes", "ω"), ("jacobian", "max |J_ab − J_ba|")] {
        let said = two(&measure(name, mixture(&scratch), &[]));
        assert!(
            said.starts_with(&format!("In this run {label} is indistinguishable from zero at this precision at all ")),
            "{said}"
        );
    }
}

#[test]
fn what_was_not_checked_is_said_with_its_reason() {
    let said = two(&circulation(closed("field:rotor?omega=1", SHAPE), &["rotation"], 0.0));
    let expected = "On rotation loops nothing is established: |Γ| was not checked at all 2 timesteps. It is not checked, because \
                    arithmetic was not measured.";
    assert_eq!(said, expected);
    for name in ["asymmetry", "planes", "lid", "stein", "spectrum", "curl", "map", "jacobian"] {
        let said = two(&measure(name, closed("field:rotor?omega=1", SHAPE), &[("verify", Setting::Count(0))]));
        assert!(said.contains("nothing is established: ") || said.contains("Nothing is established: "), "{said}");
        assert!(said.ends_with("because arithmetic was not measured."), "{said}");
    }
}

/// Every measure, and what is resolved at one place, is zero at another and not checked at a third.
#[test]
fn every_measure_says_where_what_holds() {
    for measure in MEASURES.iter().filter(|m| !["circulation", "likelihood", "stein"].contains(&m.name())) {
        let made = table(measure.name(), |_, _| 1.0);
        let (ks, n) = (made.axes[made.axes.len() - 2].labels.len(), made.axes[made.axes.len() - 1].labels.len());
        let headline = measure.info().headline;
        let applying: Vec<&str> = measure
            .errors(&made)
            .unwrap()
            .into_iter()
            .find(|e| e.0 == headline)
            .unwrap()
            .1
            .iter()
            .map(|e| e.0)
            .collect();
        let value = |name: &str, i: usize| match (applying.contains(&name), i / n % ks) {
            (true, 0) => 1e-9,
            (true, 1) => 1e9,
            (true, _) => f64::NAN,
            _ => 1.0,
        };
        let said = two(&table(measure.name(), value));
        assert!(said.contains(measure.info().claim.holds.trim_start_matches("the ")), "{said}");
        assert!(
            said.contains("indistinguishable from zero at this precision") && said.contains("not checked, because"),
            "{said}"
        );
        // Nothing finite: it is said, and nothing is claimed.
        let none = two(&table(measure.name(), |name, _| if name == headline { f64::NAN } else { 1.0 }));
        assert!(none.contains("no sample is finite") && !none.contains(measure.info().claim.holds), "{none}");
    }
}
