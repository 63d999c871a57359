//! The targets of fuzz/ without a fuzzer: mutations of good files with a fixed seed, a moment each, or as many seconds
//! each as `ZOO_FUZZ_SECONDS` says.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

use targets::{ALL, Target};

/// Words that formats have and that make trouble.
const WORDS: [&[u8]; 22] = [
    b"\0",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"=",
    b"\n",
    b"\t",
    b",",
    b"-1",
    b"1e999",
    b"nan",
    b"inf",
    b"18446744073709551615",
    b"9223372036854775808",
    b"1e-400",
    b"\xff\xfe",
    b"null",
    b"kind",
    b"\"F32\"",
    b"../",
];
/// Inputs grow no larger than this.
const MAX_BYTES: usize = 1 << 14;
/// Inputs that are kept to go on from.
const KEPT: usize = 64;

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// One to eight changes: bits, bytes, words, pieces left out, said twice, or taken from another input.
fn mutate(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + numbers.below(8) {
        let at = numbers.below(bytes.len() + 1);
        let to = (at + numbers.below(32)).min(bytes.len());
        match numbers.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            2 => drop(bytes.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied())),
            3 => drop(bytes.splice(at..to, WORDS[numbers.below(WORDS.len())].iter().copied())),
            4 => drop(bytes.drain(at..to)),
            5 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let end = (from + numbers.below(64)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

/// The files that mutations begin from, by name.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/").to_string() + target.name;
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Reads mutations for a while and returns how many; the first one that panics fails the test with its bytes.
fn drive(target: &Target, time: Duration) -> u64 {
    let mut kept = seeds(target);
    kept.iter().for_each(|seed| (target.read)(seed));
    let (start, mut numbers, mut n) = (Instant::now(), Numbers(7), 0u64);
    while start.elapsed() < time {
        let (one, other) = (numbers.below(kept.len()), numbers.below(kept.len()));
        let bytes = mutate(&kept[one], &kept[other], &mut numbers);
        let began = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(&bytes)));
        assert!(read.is_ok(), "{} panics at {:?}", target.name, String::from_utf8_lossy(&bytes));
        let slow = began.elapsed() > Duration::from_secs(20);
        assert!(
            !slow,
            "{} takes {:?} for {:?}",
            target.name,
            began.elapsed(),
            String::from_utf8_lossy(&bytes)
        );
        n += 1;
        if kept.len() < KEPT {
            kept.push(bytes);
        } else if numbers.below(16) == 0 {
            let place = numbers.below(KEPT);
            kept[place] = bytes;
        }
        // Chains of mutations that no longer resemble anything begin anew.
        if n.is_multiple_of(4096) {
            kept = seeds(target);
        }
    }
    n
}

#[test]
fn no_file_makes_a_reader_panic() {
    let told = std::env::var("ZOO_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let time = told.map_or(Duration::from_millis(300), Duration::from_secs_f64);
    for target in &ALL {
        let n = drive(target, time);
        println!("{}: {n} inputs in {:.0} s", target.name, time.as_secs_f64());
        assert!(n > 0);
    }
    let _ =
        fs::remove_dir_all(std::env::temp_dir().join(format!("ablation-zoo-fuzz-{}", std::process::id())));
}
