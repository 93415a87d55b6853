//! What a run on one or several devices says of them. In: the devices and the sweep's log. Out: facts for the manifest,
//! which devices of one kind leave as a single device does, and for the log, which tells who ran what.
use crate::gpu::{Gpu, Trouble};
use crate::sweep::Log;
use crate::target::{AttentionWay, Target};
use serde_json::{Map, Value, json};

/// What the determinism contract is where adapters differ.
const AGREEMENT: &str = "adapters differ: circulations agree with those of any one of them to |dGamma| <= 1e-5 S, not to \
                         the bit; run_log.json says which of them ran what";

/// An adapter with its driver, and its family of kernels: devices of one kind compute the same bits.
pub type Kind = (String, &'static str);

/// Each kind once, in the order in which devices were named.
fn kinds(gpus: &[Gpu]) -> Vec<Kind> {
    once(gpus.iter().map(|gpu| (gpu.describe(), gpu.family().name())))
}

fn once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(vec![], |mut seen, next| {
        if !seen.contains(&next) {
            seen.push(next);
        }
        seen
    })
}

/// For people: the adapters, and how many devices are open on each kind.
pub fn text(gpus: &[Gpu]) -> String {
    let count = |kind: &str| gpus.iter().filter(|gpu| gpu.describe() == kind).count();
    let line = |(kind, _): (String, _)| match count(&kind) {
        1 => kind,
        n => format!("{n} devices on {kind}"),
    };
    let kinds = kinds(gpus);
    let note = if kinds.len() > 1 { format!("\n             {AGREEMENT}") } else { String::new() };
    kinds.into_iter().map(line).collect::<Vec<_>>().join("\n             ") + &note
}

/// `facts_of` these devices, their variants and their way of attention: which kernels run, as manifests have it.
pub fn facts(gpus: &[Gpu]) -> Map<String, Value> {
    let mut facts = facts_of(&kinds(gpus));
    facts.extend(variants(gpus).map(|variants| ("variants".to_string(), variants)));
    facts.extend(
        gpus.first().and_then(|gpu| attention(gpu.target().attention)).map(|way| ("attention".to_string(), way)),
    );
    facts
}

/// `adapter`, `kernels` and, where they differ, `adapters` and `agreement`, for the manifest.
pub fn facts_of(kinds: &[Kind]) -> Map<String, Value> {
    let names: Vec<&str> = kinds.iter().map(|k| k.0.as_str()).collect();
    let families = once(kinds.iter().map(|k| k.1));
    let mut facts = Map::new();
    facts.insert("adapter".into(), names.join("; ").into());
    facts.insert("kernels".into(), families.join("; ").into());
    if kinds.len() > 1 {
        let list = kinds.iter().map(|(name, kernels)| json!({ "adapter": name, "kernels": kernels }));
        facts.insert("adapters".into(), list.collect());
        facts.insert("agreement".into(), AGREEMENT.into());
    }
    facts
}

/// What the devices got over, for the log.
pub(super) fn troubles(gpus: &[Gpu]) -> Value {
    let trouble = |(device, gpu): (usize, &Gpu)| {
        let what = |lost| if lost { "device lost" } else { "out of memory" };
        let json = move |t: Trouble| json!({ "device": device, "what": what(t.lost), "message": t.message, "room_lanes": t.lanes });
        gpu.troubles().into_iter().map(json)
    };
    gpus.iter().enumerate().flat_map(trouble).collect()
}

/// Devices, tiles and failures, for the log.
pub(super) fn log(gpus: &[Gpu], tiles: &[usize], log: &Log) -> Value {
    let device = |(gpu, lanes): (&Gpu, &usize)| json!({ "adapter": gpu.describe(), "kernels": gpu.family().name(), "tile_lanes": lanes });
    let devices: Vec<Value> = gpus.iter().zip(tiles).map(device).collect();
    let spans: Vec<Value> = log.spans.iter().map(|s| json!([s.sweep, s.first, s.queries, s.device])).collect();
    let failures: Vec<Value> =
        log.failures.iter().map(|f| json!({ "device": f.device, "message": f.message })).collect();
    json!({ "devices": devices, "tiles": spans, "failures": failures })
}

/// The family of kernels, and how attention is computed where somebody said so: what a plan without a device has of `facts`.
pub fn planned(target: &Target) -> Map<String, Value> {
    let attention = attention(target.attention).map(|way| ("attention".to_string(), way));
    [("kernels".to_string(), target.family.name().into())].into_iter().chain(attention).collect()
}

/// How attention is computed, where somebody said so; devices of one run are told alike.
fn attention(way: AttentionWay) -> Option<Value> {
    (way != AttentionWay::Auto).then(|| way.name().into())
}

/// Variants by class, where any were chosen; those of each kind of device, where they differ.
pub fn variants(gpus: &[Gpu]) -> Option<Value> {
    let mut all: Vec<&Gpu> = vec![];
    for gpu in gpus {
        if !all.iter().any(|other| other.choices() == gpu.choices()) {
            all.push(gpu);
        }
    }
    match all[..] {
        [one] => (!one.choices().is_empty()).then(|| one.choices().json()),
        _ => Some(all.iter().map(|gpu| gpu.choices().json()).collect()),
    }
}
