//! What a process takes, as proc(5) tells.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks in a second, as proc(5) counts them: the same on all architectures that anybody runs clusters on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory that it has in RAM (`VmRSS`), in kibibytes.
pub fn resident_kib(process: u32) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// The same in megabytes.
pub fn resident_mb(process: u32) -> Result<f64> {
    Ok(f64::from(resident_kib(process)?) * 1024.0 / 1e6)
}

/// Processor time that it has spent, in seconds (`utime` and `stime`).
pub fn processor_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program comes before, in brackets, and may hold anything.
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("too few fields in stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
