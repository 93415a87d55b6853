//! Exact samples of distributions whose score is a closed form: `data:NAME?samples=N&seed=S`, wherever image files may stand.
//! In: name, number, seed, shape. Out: `Images` made of Philox normals in f64, sample n keyed by n. Adding a distribution is
//! one line of `EXACT`.
use super::funnel;
use crate::data::{self, Images, Levels};
use crate::error::{Error, Result};
use crate::paths::normal::normals;
use crate::paths::philox::{Purpose, Stream};
use crate::shape::Shape;
use crate::spec::Spec;

/// Name, what it is, fewest components, how independent standard normals become a sample.
pub const EXACT: &[(&str, &str, usize, fn(&mut [f64]))] = &[
    ("gaussian", "N(0, I), whose score is field:gaussian", 1, |_| {}),
    ("funnel", "Neal's funnel, whose score is field:funnel", funnel::LEAST, funnel::of_normals),
];

/// How many images `--data` has; none where as many are drawn as are asked for.
pub fn held(spec: impl Into<Spec>) -> Result<Option<usize>> {
    let spec = spec.into();
    match spec.named("data:")? {
        None => data::held(spec).map(Some),
        Some((_, mut params)) => params.take::<usize>("samples"),
    }
}

/// What `--data` takes: image files (`data::load_shaped`), or `data:NAME?samples=N&seed=S`, exact samples of the shape
/// `expected`. As many are drawn as `limit` asks for; more than N, where N is given, are refused. The seed is 0 by default.
pub fn open_data(spec: impl Into<Spec>, limit: usize, range: [f64; 2], expected: Option<Shape>) -> Result<Images> {
    let spec = &spec.into();
    let Some((name, mut params)) = spec.named("data:")? else {
        return data::load_shaped(spec, limit, range, expected);
    };
    let fail = |m: String| Error::invalid(spec, m);
    let Some((_, _, least, draw)) = EXACT.iter().find(|e| e.0 == name) else {
        let known: Vec<_> = EXACT.iter().map(|e| e.0).collect();
        return Err(fail(format!("'{name}' is not a known distribution; known: {}", known.join(", "))));
    };
    let (samples, seed) = (params.take::<usize>("samples")?, params.take::<u64>("seed")?.unwrap_or(0));
    params.finish(&name)?;
    let shape = expected.ok_or_else(|| fail("exact samples need a shape such as 1x8x8 (--shape)".into()))?;
    if shape.len() < *least {
        return Err(fail(format!("shape {shape} has {} components, {name} needs at least {least}", shape.len())));
    }
    let held = samples.unwrap_or(limit);
    if limit == 0 || held == 0 || held > u32::MAX as usize {
        return Err(fail(format!("{} samples, expected 1..={}", held.min(limit), u32::MAX)));
    }
    let count = data::check_count(held, limit).map_err(fail)?;
    let total = data::check_size(count, shape).map_err(fail)?;
    let mut values: Vec<f32> = Vec::new();
    let no_memory = |_| fail(format!("{count} samples of {shape} do not fit in memory"));
    values.try_reserve_exact(total).map_err(no_memory)?;
    for sample in 0..count as u32 {
        let mut row = normals(&Stream { seed, purpose: Purpose::Data, draw: 0, sample, k: 0 }, shape.len());
        draw(&mut row);
        values.extend(row.into_iter().map(|v| v as f32));
    }
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok(Images { shape, count, values, levels: Levels::Real, sha256: data::sha256_bytes(&bytes) })
}
