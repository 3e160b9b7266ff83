//! Runs fuzz targets over the seeds in `fuzz/seeds`, one directory per target: an ordinary test without a fuzzer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed expectation is a failed test"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Runs `target` over each of its seeds, and over what is left of each when its end is cut off.
///
/// # Panics
/// When there is no seed, or the target panics; the seed is named on standard error.
pub fn run(name: &str, target: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut seeds = 0;
    for entry in entries {
        let path = entry.expect("an entry of the directory").path();
        let seed = fs::read(&path).expect("a readable seed");
        for length in [seed.len(), seed.len() / 2, seed.len() * 9 / 10] {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&seed[..length]))) {
                eprintln!("the first {length} bytes of {} make {name} fail", path.display());
                resume_unwind(panic);
            }
        }
        seeds += 1;
    }
    assert!(seeds > 0, "{} has no seed", directory.display());
}
