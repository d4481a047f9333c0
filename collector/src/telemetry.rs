//! What the collector counts about itself, for `/metrics`.
//!
//! A registry of its own, not the process-wide one: several collectors can live in one process.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// All counters. Cheap to clone: clones count into the same.
#[derive(Clone, Debug)]
pub struct Telemetry {
    registry: Registry,
    /// Batches stored for the first time.
    pub batches_stored: IntCounter,
    /// Samples stored.
    pub samples_stored: IntCounter,
    /// Samples of stored batches that were left out, by `reason`.
    pub samples_ignored: IntCounterVec,
    /// Batches that agents gave up before they came: gaps.
    pub batches_lost: IntCounter,
    /// Batches that were stored before.
    pub batches_duplicate: IntCounter,
    /// Messages refused, by `reason`.
    pub messages_refused: IntCounterVec,
    /// Requests refused at an `interface` that is not for everybody.
    pub logins_refused: IntCounterVec,
    /// Live messages under a name that nobody knows, by `reason`.
    pub strangers: IntCounterVec,
    /// How often the broker refused the collector for who it is.
    pub broker_refusals: IntCounter,
    /// Bytes that the disk of the data still has for the collector.
    pub disk_free_bytes: IntGauge,
    /// Bytes of the disk of the data; 0 until it was measured.
    pub disk_size_bytes: IntGauge,
    /// Bytes of it that are kept for when it is full; 0 when they are in use.
    pub disk_reserve_bytes: IntGauge,
    /// How long a commit took, in seconds.
    pub commit_seconds: Histogram,
    /// Batches committed at once.
    pub commit_batches: Histogram,
    /// How long one evaluation of all rules took, in seconds.
    pub rule_evaluation_seconds: Histogram,
    /// Rules whose last evaluation failed.
    pub rules_failing: IntGauge,
    /// Rules that are evaluated at the interval, because samples cannot push them.
    pub rules_not_pushed: IntGauge,
    /// Rules in the sites where they have something to read.
    pub rule_instances: IntGauge,
    /// Series that rules read.
    pub rule_series: IntGauge,
    /// Bytes that operators of rules and their series take.
    pub rule_bytes: IntGauge,
    /// 1 when the last reload of the rules was successful, or there was none.
    pub rules_reload_successful: IntGauge,
    /// When the rules were loaded, in seconds since the epoch.
    pub rules_reloaded_seconds: Gauge,
    /// Alerts that are held because their inputs are gone.
    pub alerts_held: IntGauge,
    /// Alerts of the digest, which were learnt of too late to page.
    pub alerts_historical: IntGauge,
    /// Alerts that fire and are not told of, because they follow from others.
    pub alerts_suppressed: IntGauge,
    /// Evaluations left out because the one before was still running.
    pub rule_evaluations_missed: IntCounter,
    /// Attempts to notify, by `receiver` and `result` (`delivered`, `retried`, `given_up`).
    pub notifications: IntCounterVec,
    /// 1 while the peer of a pair answers.
    pub peer_up: IntGaugeVec,
    /// Notifications sent in the peer's place, by `receiver`.
    pub takeovers: IntCounterVec,
    /// Notifications left out because the receiver was told by the peer, by `receiver`.
    pub notifications_suppressed: IntCounterVec,
    /// What waits in each `queue`.
    pub queue_depth: IntGaugeVec,
    /// How much each `queue` can hold.
    pub queue_capacity: IntGaugeVec,
    /// 1 while the broker is connected.
    pub broker_connected: IntGauge,
    /// Connections to the broker that were lost or could not be made.
    pub broker_disconnects: IntCounter,
    /// Acknowledgements handed to the connection.
    pub acks_published: IntCounter,
    /// Acknowledgements left out because too many waited; the next one says the same and more.
    pub acks_dropped: IntCounter,
    /// Samples of the collector's own that were left out because the store was too busy.
    pub own_samples_dropped: IntCounter,
    /// Queries, by `result`.
    pub queries: IntCounterVec,
    /// How long a query took, in seconds.
    pub query_seconds: Histogram,
    /// Requests, by `code`.
    pub http_requests: IntCounterVec,
    /// Pages that listen for changes.
    pub pages_open: IntGauge,
    /// Series in the store.
    pub store_series: IntGauge,
    /// Bytes of the store on disk.
    pub store_bytes: IntGauge,
    /// Lines written, by `sink`.
    pub sink_lines: IntCounterVec,
    /// Lines that a sink's database refused and that were set aside, by `sink`.
    pub sink_refused: IntCounterVec,
    /// Attempts that failed and were repeated, by `sink`.
    pub sink_retries: IntCounterVec,
    /// How far a sink is behind the store, in seconds.
    pub sink_lag_seconds: GaugeVec,
    /// When the process started, in seconds since the epoch.
    pub start_seconds: Gauge,
}

/// From half a millisecond (a commit on a good disk) to ten seconds (nobody waits longer).
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Telemetry {
    /// The interfaces that are not for everybody: with the secret of the pair; on this machine.
    pub const INTERFACES: [&str; 2] = ["pair", "admin"];
    /// What of a name may be unknown.
    pub const STRANGERS: [&str; 3] = ["unknown_tenant", "unknown_site", "unknown_agent"];

    /// All counters at zero.
    ///
    /// # Errors
    /// When two metrics have one name; a test would have found that.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Make(&registry);
        let telemetry = Self {
            batches_stored: make.counter("batches_stored_total", "Batches stored.")?,
            samples_stored: make.counter("samples_stored_total", "Samples stored.")?,
            samples_ignored: make.counters(
                "samples_ignored_total",
                "Samples of stored batches that were left out.",
                &["reason"],
            )?,
            batches_lost: make
                .counter("batches_lost_total", "Batches that agents gave up before they came.")?,
            batches_duplicate: make
                .counter("batches_duplicate_total", "Batches that were stored before.")?,
            messages_refused: make.counters(
                "messages_refused_total",
                "Messages of agents that were refused.",
                &["reason"],
            )?,
            logins_refused: make.counters(
                "logins_refused_total",
                "Requests refused at an interface that is not for everybody.",
                &["interface"],
            )?,
            strangers: make.counters(
                "strangers_total",
                "Live messages under a name that is not in the configuration.",
                &["reason"],
            )?,
            broker_refusals: make.counter(
                "broker_refusals_total",
                "How often the broker refused the collector for who it is.",
            )?,
            disk_free_bytes: make.gauge(
                "disk_free_bytes",
                "Bytes that the disk of the data still has for the collector.",
            )?,
            disk_size_bytes: make.gauge("disk_size_bytes", "Bytes of the disk of the data.")?,
            disk_reserve_bytes: make.gauge(
                "disk_reserve_bytes",
                "Bytes of the disk that are kept for when it is full; 0 when they are in use.",
            )?,
            commit_seconds: make.histogram("commit_seconds", "Time of one commit.", &SECONDS)?,
            commit_batches: make.histogram(
                "commit_batches",
                "Batches committed at once.",
                &COUNTS,
            )?,
            rule_evaluation_seconds: make.histogram(
                "rule_evaluation_seconds",
                "Time of one evaluation of all rules.",
                &SECONDS,
            )?,
            rules_failing: make.gauge("rules_failing", "Rules whose last evaluation failed.")?,
            rules_not_pushed: make.gauge(
                "rules_not_pushed",
                "Rules that are evaluated at the interval instead of by samples.",
            )?,
            rule_instances: make
                .gauge("rule_instances", "Rules in the sites where they have something to read.")?,
            rule_series: make.gauge("rule_series", "Series that rules read.")?,
            rule_bytes: make
                .gauge("rule_bytes", "Bytes of the operators of rules and of their series.")?,
            rules_reload_successful: make.gauge(
                "rules_reload_successful",
                "1 when the last reload of the rules was successful.",
            )?,
            rules_reloaded_seconds: make.register(Gauge::with_opts(
                make.opts("rules_reloaded_time_seconds", "When the rules were loaded."),
            )?)?,
            alerts_held: make
                .gauge("alerts_held", "Alerts that are held because their inputs are gone.")?,
            alerts_historical: make.gauge(
                "alerts_historical",
                "Alerts of the past that were learnt of too late to page.",
            )?,
            alerts_suppressed: make.gauge(
                "alerts_suppressed",
                "Alerts that fire and are not told of, because they follow from others.",
            )?,
            rule_evaluations_missed: make.counter(
                "rule_evaluations_missed_total",
                "Evaluations left out because the one before was still running.",
            )?,
            notifications: make.counters(
                "notifications_total",
                "Attempts to notify a receiver.",
                &["receiver", "result"],
            )?,
            peer_up: make.gauges("peer_up", "1 while the peer of a pair answers.", &["peer"])?,
            takeovers: make.counters(
                "takeovers_total",
                "Notifications sent in the peer's place.",
                &["receiver"],
            )?,
            notifications_suppressed: make.counters(
                "notifications_suppressed_total",
                "Notifications left out because the receiver was told by the peer.",
                &["receiver"],
            )?,
            queue_depth: make.gauges("queue_depth", "Entries waiting in a queue.", &["queue"])?,
            queue_capacity: make.gauges(
                "queue_capacity",
                "Entries a queue can hold.",
                &["queue"],
            )?,
            broker_connected: make.gauge("broker_connected", "1 while the broker is connected.")?,
            broker_disconnects: make.counter(
                "broker_disconnects_total",
                "Connections to the broker that were lost or refused.",
            )?,
            acks_published: make
                .counter("acks_published_total", "Acknowledgements handed to the broker.")?,
            acks_dropped: make.counter(
                "acks_dropped_total",
                "Acknowledgements left out because too many waited.",
            )?,
            own_samples_dropped: make.counter(
                "own_samples_dropped_total",
                "Samples of the collector's own left out because the store was too busy.",
            )?,
            queries: make.counters("queries_total", "PromQL queries.", &["result"])?,
            query_seconds: make.histogram("query_seconds", "Time of a PromQL query.", &SECONDS)?,
            http_requests: make.counters("http_requests_total", "HTTP requests.", &["code"])?,
            pages_open: make.gauge("pages_open", "Pages that listen for changes.")?,
            store_series: make.gauge("store_series", "Series in the store.")?,
            store_bytes: make.gauge("store_bytes", "Bytes of the store on disk.")?,
            sink_lines: make.counters("sink_lines_total", "Lines written.", &["sink"])?,
            sink_refused: make.counters(
                "sink_refused_total",
                "Lines that the database refused and that were set aside.",
                &["sink"],
            )?,
            sink_retries: make.counters(
                "sink_retries_total",
                "Attempts to write that failed and were repeated.",
                &["sink"],
            )?,
            sink_lag_seconds: make.register(GaugeVec::new(
                make.opts("sink_lag_seconds", "How far a sink is behind the store."),
                &["sink"],
            )?)?,
            start_seconds: make.register(Gauge::with_opts(
                make.opts("start_time_seconds", "When the collector started."),
            )?)?,
            registry,
        };
        for result in ["success", "bad_data", "execution", "timeout", "canceled", "internal"] {
            telemetry.queries.with_label_values(&[result]);
        }
        for interface in Self::INTERFACES {
            telemetry.logins_refused.with_label_values(&[interface]);
        }
        for reason in Self::STRANGERS {
            telemetry.strangers.with_label_values(&[reason]);
        }
        Ok(telemetry)
    }

    /// All counters in the text form of Prometheus.
    ///
    /// # Errors
    /// When a metric cannot be written; a test would have found that.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

struct Make<'a>(&'a Registry);

impl Make<'_> {
    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("hallwatch_collector_{name}"), help)
    }

    fn register<T: Collector + Clone + 'static>(&self, metric: T) -> prometheus::Result<T> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::with_opts(self.opts(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(self.opts(name, help), by)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::with_opts(self.opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(self.opts(name, help), by)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let name = format!("hallwatch_collector_{name}");
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_own_name_and_reads_as_prometheus_text() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.batches_stored.inc();
        telemetry.clone().batches_stored.inc();
        telemetry.messages_refused.with_label_values(&["malformed"]).inc();
        let text = telemetry.render().unwrap();
        assert!(text.contains("\nhallwatch_collector_batches_stored_total 2\n"), "{text}");
        assert!(
            text.contains("hallwatch_collector_messages_refused_total{reason=\"malformed\"} 1\n"),
            "{text}"
        );
    }
}
