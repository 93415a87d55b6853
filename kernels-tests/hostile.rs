//! Files that lie: damaged versions of the seeds in kernels-tests/seeds are taken or refused, never worse. What each of the
//! usual mistakes is told is in `errors`; `fuzz/` gives the same readers to a fuzzer.
use crate::readers::READERS;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::path::{Path, PathBuf};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels-tests/seeds");

/// Files that a reader takes, and a few that it refuses.
fn seeds(reader: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(SEEDS).join(reader);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{reader} has no seeds");
    paths.iter().map(|p| fs::read(p).unwrap()).collect()
}

/// What is done to a file.
#[derive(Clone, Debug)]
enum Damage {
    /// Its end is cut off.
    Cut(prop::sample::Index),
    /// A byte is another.
    Byte(prop::sample::Index, u8),
    /// 1, 2, 4 or 8 bytes, of lengths and the like, become a number of that kind that nobody expects.
    Number(prop::sample::Index, usize, u64),
    /// A digit becomes many.
    Digits(prop::sample::Index),
    /// A part is there twice.
    Twice(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    use prop::sample::{Index, select};
    let strange = select(vec![0, 1, 1 << 7, u64::MAX, 1 << 31, u64::from(u32::MAX), 1 << 60, i64::MAX as u64, 1 << 63]);
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Damage::Byte(at, to)),
        (any::<Index>(), select(vec![1, 2, 4, 8]), strange).prop_map(|(at, size, n)| Damage::Number(at, size, n)),
        any::<Index>().prop_map(Damage::Digits),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Twice(from, to)),
    ]
}

fn damaged(mut bytes: Vec<u8>, how: &[Damage]) -> Vec<u8> {
    for damage in how {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match damage {
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Byte(at, to) => bytes[at.index(length)] = *to,
            Damage::Number(at, size, n) => {
                let at = at.index(length);
                let end = length.min(at + size);
                bytes[at..end].copy_from_slice(&n.to_le_bytes()[..end - at]);
            }
            Damage::Digits(at) => {
                let digits: Vec<usize> = (0..length).filter(|i| bytes[*i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let at = digits[at.index(digits.len())];
                    bytes.splice(at..at, *b"1844674407370955161");
                }
            }
            Damage::Twice(from, to) => {
                let [from, to] = [from, to].map(|i| i.index(length));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

/// Damaged files of each reader; `PROPTEST_CASES` says another number.
const CASES: u32 = 150;

/// Damaged files of every kind; a panic is the failure, and proptest shows the smallest damage.
#[test]
fn damaged_files_are_taken_or_refused() {
    let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |n| n.parse().unwrap());
    for (name, read) in READERS {
        let (seeds, folder) = (seeds(name), tempfile::tempdir().unwrap());
        seeds.iter().for_each(|seed| read(folder.path(), seed));
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let strategy = (prop::sample::select(seeds), prop::collection::vec(damage(), 1..4));
        let result = runner.run(&strategy, |(seed, how)| {
            read(folder.path(), &damaged(seed, &how));
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
}
