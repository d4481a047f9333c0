//! `backup`, `restore` and `verify`.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use hallwatch_collector::Config;
use hallwatch_collector::store::backup::{self as copies, Copied};
use hallwatch_collector::store::verify::{Verification, verify as read_all};
use hallwatch_model::chain;
use serde_json::json;

use super::print;

/// Copies what the collector keeps, while it runs or not.
pub(crate) fn backup(config: &Config, to: &Path, patience: u64) -> Result<(), String> {
    let copied = copies::backup(&config.data, to, Duration::from_secs(patience));
    tell(&copied.map_err(|error| chain(&error))?);
    Ok(())
}

/// Puts a backup where the collector of this configuration finds it.
pub(crate) fn restore(config: &Config, from: &Path) -> Result<(), String> {
    tell(&copies::restore(from, &config.data).map_err(|error| chain(&error))?);
    Ok(())
}

fn tell(copied: &Copied) {
    for (path, bytes) in &copied.files {
        print(&format!("{bytes:>14}  {}", path.display()));
    }
    print(&summary(&copied.content));
}

/// What `verify` is asked.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Verify {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Fetch damaged chunks again from the peer.
    #[arg(long, conflicts_with = "json")]
    repair: bool,
    /// Where the peer serves, when it is not where the configuration says.
    #[arg(long, value_name = "URL", requires = "repair")]
    from: Option<String>,
}

/// Reads everything; whether it is sound.
pub(crate) fn verify(config: &Config, asked: &Verify) -> Result<bool, String> {
    let mut found = read_all(&config.data).map_err(|error| chain(&error))?;
    if asked.repair && found.damaged > 0 {
        super::backfill::repair(config, asked.from.as_deref(), &found.damages)?;
        found = read_all(&config.data).map_err(|error| chain(&error))?;
    }
    if asked.json {
        let damages = found.damages.iter().map(|one| {
            let times = one.times.map(|(from, to)| [from.to_string(), to.to_string()]);
            json!({"part": one.part, "which": one.which, "times": times})
        });
        let damages: Vec<_> = damages.collect();
        print(
            &json!({
                "series": found.series, "chunks": found.chunks, "chunkSamples": found.chunk_samples,
                "rollups": found.rollups, "logRows": found.log_rows, "logSamples": found.log_samples,
                "damaged": found.damaged, "damages": damages,
            })
            .to_string(),
        );
    } else {
        print(&summary(&found));
        for one in &found.damages {
            let times = one.times.map(|(from, to)| format!("  {from} to {to}"));
            print(&format!("{:<7} {}{}", one.part, one.which, times.unwrap_or_default()));
        }
    }
    Ok(found.damaged == 0)
}

fn summary(found: &Verification) -> String {
    format!(
        "{} series, {} chunks with {} samples, {} days summed up, {} log rows with {} samples: {}",
        found.series,
        found.chunks,
        found.chunk_samples,
        found.rollups,
        found.log_rows,
        found.log_samples,
        match found.damaged {
            0 => "all sound".to_owned(),
            count => format!("{count} damaged"),
        }
    )
}
