//! `delete`: hides samples at once, and waits until their bytes are gone.

use std::time::Duration;

use clap::Args;
use hallwatch_collector::gaps::Gaps;
use hallwatch_collector::store::{self, Deletion, Options, Store};
use hallwatch_collector::{Config, clock};
use hallwatch_model::{Id, Timestamp, chain};
use hallwatch_promql::Matchers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::Client;
use super::print;

/// What is to be deleted.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Delete {
    /// Series selectors, such as `power_watts{device="pdu-a1"}`.
    #[arg(required_unless_present = "tenant")]
    selectors: Vec<String>,
    /// All series of a tenant, and what happened at its doors.
    #[arg(long)]
    tenant: Option<String>,
    /// From when: `2026-11-22T12:00:00Z`, or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment, allow_negative_numbers = true)]
    start: Option<f64>,
    /// To when. With neither, the series are forgotten altogether.
    #[arg(long, value_name = "TIME", value_parser = moment, allow_negative_numbers = true)]
    end: Option<f64>,
    /// Give up waiting for the disk after so many seconds; what is deleted stays hidden, and goes
    /// from the disk all the same.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

/// A time in seconds since 1970.
fn moment(text: &str) -> Result<f64, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(seconds);
    }
    let wrong = |_| format!("`{text}` is neither like 2026-11-22T12:00:00Z nor seconds since 1970");
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(wrong)?;
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis)
        .map_err(|error| error.to_string())
        .map(|millis| Timestamp::from_millis(millis).as_seconds())
}

/// Deletes, and prints the receipt.
pub(crate) fn delete(config: &Config, delete: &Delete) -> Result<(), String> {
    if let (Some(start), Some(end)) = (delete.start, delete.end)
        && start > end
    {
        return Err("nothing to delete: `--start` is after `--end`".to_owned());
    }
    match Client::running(config) {
        Some(client) => ask(&client, delete),
        None => alone(config, delete),
    }
}

fn ask(client: &Client, delete: &Delete) -> Result<(), String> {
    let (start, end) = (delete.start.map(|s| s.to_string()), delete.end.map(|s| s.to_string()));
    let mut fields: Vec<(&str, &str)> =
        delete.selectors.iter().map(|selector| ("match[]", selector.as_str())).collect();
    let more = [("tenant", &delete.tenant), ("start", &start), ("end", &end)];
    fields.extend(more.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    let (head, _) = client.post("/api/v1/admin/tsdb/delete_series", &fields)?;
    let number = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("hallwatch-deletion").then(|| value.trim().parse::<i64>().ok())?
    });
    let number = number.ok_or("the collector gave no receipt")?;
    print(&format!("deletion {number}: hidden"));
    let began = clock::uptime();
    while clock::uptime().since(began) < Duration::from_secs(delete.patience) {
        let answer = client.get("/api/v1/admin/tsdb/deletions")?;
        let receipts = answer["data"].as_array().cloned().unwrap_or_default();
        let own = receipts.iter().find(|receipt| receipt["id"] == number);
        if let Some(receipt) = own.filter(|receipt| receipt["purged"].is_string()) {
            let count = |name: &str| receipt[name].as_u64().unwrap_or(0);
            let time = receipt["purged"].as_str().unwrap_or_default();
            print(&told(
                number,
                time,
                ["series", "chunkSamples", "logSamples", "events", "damaged"].map(count),
            ));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err(format!("deletion {number} is hidden, and not yet gone from the disk"))
}

fn told(number: i64, time: &str, counts: [u64; 5]) -> String {
    let [series, chunks, log, events, damaged] = counts;
    format!(
        "deletion {number}: gone from the disk at {time}: {series} series, {chunks} samples of \
         chunks, {log} of the log, {events} events, {damaged} damaged parts"
    )
}

fn alone(config: &Config, delete: &Delete) -> Result<(), String> {
    if !config.data.join("store.sqlite").exists() {
        return Err(format!("there is no store in {}", config.data.display()));
    }
    let selectors: Result<Vec<Matchers>, _> =
        delete.selectors.iter().map(|text| Matchers::parse(text)).collect();
    let tenant = delete.tenant.as_deref().map(Id::new).transpose();
    let deletion = Deletion {
        selectors: selectors.map_err(|error| error.to_string())?,
        tenant: tenant.map_err(|error| error.to_string())?,
        start: delete.start.map_or(Timestamp::MIN, Timestamp::from_seconds),
        end: delete.end.map_or(Timestamp::MAX, Timestamp::from_seconds),
    };
    let work = || -> Result<(), Box<dyn std::error::Error>> {
        let mut store = Store::open(&config.data, &Options::default())?;
        let number = store.delete(&deletion, clock::now())?.id;
        if let Some(tenant) = &deletion.tenant {
            let gaps = Gaps::open(&config.data, |agent, boot| store.ack(agent, boot))?;
            gaps.delete_tenant(tenant, deletion.start, deletion.end)?;
        }
        print(&format!("deletion {number}: hidden"));
        loop {
            store.maintain(clock::now())?;
            let receipts = store.reader().deletions()?;
            let own = receipts.iter().find(|receipt| receipt.id == number);
            if let Some(store::Receipt { purged: Some(time), .. }) = own
                && let Some(own) = own
            {
                let counts =
                    [own.series, own.chunk_samples, own.log_samples, own.events, own.damaged];
                print(&told(number, &time.to_string(), counts));
                return Ok(());
            }
        }
    };
    work().map_err(|error| chain(&*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_people_write_it_or_as_prometheus_counts() {
        for (text, seconds) in [
            ("1700000000", 1_700_000_000.0),
            ("1700000000.5", 1_700_000_000.5),
            ("-1", -1.0),
            ("2023-11-14T22:13:20Z", 1_700_000_000.0),
            ("2023-11-14T23:13:20.5+01:00", 1_700_000_000.5),
        ] {
            assert_eq!(moment(text), Ok(seconds), "{text}");
        }
        for text in ["nan", "inf", "yesterday", "2023-11-14", ""] {
            assert!(moment(text).unwrap_err().contains("2026-11-22T12:00:00Z"), "{text}");
        }
    }
}
