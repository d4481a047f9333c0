//! The series, their values, and the rules.

use std::fmt::Write as _;

use hallwatch_model::Labels;

/// Sites, each with an agent: what a rule says of a site waits for the agents of that site alone.
pub(crate) const SITES: u32 = 10;

/// Ten devices of ten metrics to a rack, racks in a hundred rooms.
pub(crate) fn labels(number: u32, series: u32) -> Labels {
    let (device, metric) = (number / 10, number % 10);
    let name =
        if metric < 3 { format!("bench_{metric}_total") } else { format!("bench_{metric}_value") };
    let (device, rack) = (format!("d{device}"), format!("r{}", device / 10));
    let room = format!("h{}", number / series.div_ceil(100));
    let site = site(number / series.div_ceil(SITES));
    let own = [("device", &*device), ("rack", &*rack), ("room", &*room)];
    Labels::metric(&name, own.into_iter().chain([("tenant", "acme"), ("site", &*site)]))
}

pub(crate) fn site(number: u32) -> String {
    format!("fra-{number}")
}

/// What raises the alert whose latency is measured.
pub(crate) fn probe() -> Labels {
    Labels::metric("probe_value", [("site", "fra-0"), ("tenant", "acme")])
}

pub(crate) fn value(number: u32, second: u32) -> f64 {
    let noise = f64::from(
        (number.wrapping_mul(2_654_435_761).wrapping_add(second.wrapping_mul(40_503))) % 1000,
    );
    if number % 10 < 3 { f64::from(second) * 3.0 + f64::from(number % 7) } else { noise / 10.0 }
}

/// How far the values stay below what the rules compare them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// As bounds mostly are: no sample comes near them.
    Far,
    /// So close that each window has to be calculated to know that it stays below.
    Close,
}

pub(crate) fn rule_file(rules: u32, unrelated: u32, bounds: Bounds) -> String {
    let (rate, increase, average) = match bounds {
        Bounds::Far => ("100", "100000", "1000"),
        Bounds::Close => ("3.000001", "180.0001", "75"),
    };
    let mut file = String::from("groups:\n- name: bench\n  interval: 1s\n  rules:\n");
    for rule in 0..rules {
        let r = format!("room=\"h{}\"", (rule / 10) % 100);
        let expr = match rule % 10 {
            0 => format!("rate(bench_0_total{{{r}}}[1m]) > {rate}"),
            1 => format!("increase(bench_1_total{{{r}}}[1m]) > {increase}"),
            2 => format!("absent(bench_2_total{{{r}}})"),
            3 => format!("bench_3_value{{{r}}} > 1000"),
            4 => format!("bench_4_value{{{r}}} > 1000"),
            5 => format!("avg_over_time(bench_5_value{{{r}}}[1m]) > {average}"),
            6 => format!("sum by (tenant, site, rack) (bench_6_value{{{r}}}) > 100000"),
            7 => format!(
                "bench_7_value{{{r}}} > 1000 and on (tenant, site, device) bench_8_value{{{r}}} > 2"
            ),
            8 => format!(
                "bench_8_value{{{r}}} / on (tenant, site, device) bench_3_value{{{r}}} > 1e9"
            ),
            _ => format!("max_over_time(bench_9_value{{{r}}}[1m]) > 1000"),
        };
        writeln!(file, "  - alert: A{rule}\n    expr: {expr}").unwrap();
    }
    for rule in 0..unrelated {
        writeln!(file, "  - alert: U{rule}\n    expr: other_{rule}_value > 1").unwrap();
    }
    writeln!(file, "  - alert: Probe\n    expr: probe_value > 0").unwrap();
    file
}
