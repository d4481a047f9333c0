//! A whole collector, in process, with a real broker and a real webhook.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod peers;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::config::{Config, Disk, parse};
use hallwatch_config::Source;
use hallwatch_link::{Event, Events, Message, Publisher};
use hallwatch_model::{
    Ack, Batch, Describe, Labels, Reading, Readings, SeriesId, Status, Timestamp, Value, wire,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use peers::{eventually, http, listener, mosquitto, victoria_metrics};

const RULES: &str = r#"
groups:
  - name: power
    rules:
      - alert: UpsOnBattery
        expr: ups_on_battery == 1
        labels: { severity: critical }
        annotations:
          summary: UPS {{ $labels.device }} on battery
          action: Look for the cause
          dashboard: "{{ externalURL }}{{ graphLink `up` }} {{ pathPrefix }}"
      - record: site:ups_on_battery:max
        expr: max by (tenant, site) (ups_on_battery)
"#;

fn config(folder: &Path, broker: u16, webhook: SocketAddr, more: &str) -> Config {
    std::fs::write(folder.join("rules.yaml"), RULES).unwrap();
    let text = format!(
        "collector = {{ id = 'c-1', data = 'data' }}
         broker = {{ url = 'mqtt://127.0.0.1:{broker}' }}
         site = [{{ id = 'fra-1', tenant = 'acme', name = 'Frankfurt 1', agents = ['gw-1'] }}]
         rules = {{ files = ['rules.yaml'], interval = '200ms' }}
         notify = {{ group_wait = '100ms', group_interval = '200ms' }}
         receiver = [{{ name = 'noc', webhook = {{ url = 'http://{webhook}/page' }} }}]
         {more}"
    );
    parse(&Source::new("collector.toml", text), folder, &Disk).unwrap()
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), hallwatch_collector::Error>>,
}

async fn run(config: Config) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        hallwatch_collector::run(config, listener, async { drop(stopped.await) }).await
    });
    Running { address, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(15), self.task).await;
        ended.expect("it ends in time").unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> (u16, String) {
        eventually(path, async || http(self.address, "GET", path).await).await
    }

    /// The value of the one series that a query gives, with its labels.
    async fn value(&self, query: &str) -> Option<(serde_json::Value, String)> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (_, body) = self.get(&format!("/api/v1/query?query={query}")).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let series = body["data"]["result"].as_array()?.first()?.clone();
        Some((series["metric"].clone(), series["value"][1].as_str()?.to_owned()))
    }

    async fn ready(&self) {
        eventually("it is ready", async || {
            (http(self.address, "GET", "/readyz").await?.0 == 200).then_some(())
        })
        .await;
    }
}

/// Stands for an agent.
struct Agent {
    name: &'static str,
    publisher: Publisher,
    events: Events,
}

impl Agent {
    async fn connect(broker: u16) -> Self {
        Self::named("gw-1", broker)
    }

    fn named(name: &'static str, broker: u16) -> Self {
        let mut options = hallwatch_link::Options::new("127.0.0.1", broker, name);
        options.subscriptions = vec![format!("hallwatch/v1/acme/fra-1/{name}/ack/+")];
        let (publisher, events) = hallwatch_link::open(options);
        Self { name, publisher, events }
    }

    async fn say(&self, topic: &str, payload: Vec<u8>, retain: bool) {
        let topic = format!("hallwatch/v1/acme/fra-1/{topic}");
        self.publisher.publish(Message { topic, payload: payload.into(), retain }).await.unwrap();
    }

    async fn introduce(&self) {
        let status = Status {
            boot: 7,
            online: true,
            version: "0.1.0".into(),
            started: now(),
            sent: now(),
            backlog: 5,
            journal_bytes: 4_096,
            durable: true,
            ..Status::default()
        };
        self.say("gw-1/status", wire::encode_status(&status), true).await;
        // That a payload names another tenant is never believed.
        let series = |name, more: (&'static str, &'static str)| {
            Labels::metric(name, [("device", "ups-a"), ("room", "hall-1"), more])
        };
        let describe = Describe {
            dictionary: 9,
            part: 0,
            series: vec![
                (SeriesId(1), series("ups_on_battery", ("tenant", "globex"))),
                (SeriesId(2), series("ups_load_ratio", ("feed", "a"))),
                (SeriesId(3), series("environment_leak", ("rack", "a b,c=d \"é\\e"))),
            ],
            ..Describe::default()
        };
        self.say("gw-1/describe/0", wire::encode_describe(&describe), true).await;
    }

    async fn batch(&self, seq: u64, values: &[(u32, Value)]) {
        self.batch_of(seq, now(), values, false).await;
    }

    async fn batch_of(&self, seq: u64, time: Timestamp, values: &[(u32, Value)], backfill: bool) {
        let readings = values
            .iter()
            .map(|(series, value)| Reading { series: SeriesId(*series), time, value: *value })
            .collect();
        let readings = Readings { dictionary: 9, readings, ..Readings::default() };
        let batch =
            Batch { boot: 7, seq, oldest: 1, watermark: time, backfill, sender: 0, readings };
        let topic = format!("{}/data", self.name);
        self.say(&topic, wire::encode_batch(&batch), false).await;
    }

    /// Says how it is, and that it reads one device.
    async fn reads(&self, device: &str, online: bool) {
        let status = Status { boot: 7, online, started: now(), sent: now(), ..Status::default() };
        let topic = format!("{}/status", self.name);
        self.say(&topic, wire::encode_status(&status), true).await;
        let series = vec![(SeriesId(1), Labels::metric("device_up", [("device", device)]))];
        let describe = Describe { dictionary: 9, series, ..Describe::default() };
        let topic = format!("{}/describe/0", self.name);
        self.say(&topic, wire::encode_describe(&describe), true).await;
    }

    /// Waits until the collector asks for the dictionary.
    async fn wanted(&mut self) -> bool {
        while !self.acked(0).await.describe {}
        true
    }

    /// Waits for an acknowledgement of everything up to `seq`.
    async fn acked(&mut self, seq: u64) -> Ack {
        let wait = async {
            loop {
                let Some(event) = self.events.next().await else { panic!("the link is closed") };
                let Event::Message(message) = event else { continue };
                let topic = format!("hallwatch/v1/acme/fra-1/{}/ack/c-1", self.name);
                assert_eq!(message.topic, topic);
                let ack = wire::decode_ack(&message.payload).unwrap();
                if ack.boot == 7 && ack.upto >= seq {
                    return ack;
                }
            }
        };
        tokio::time::timeout(peers::PATIENCE, wait).await.expect("an acknowledgement")
    }
}

fn now() -> Timestamp {
    hallwatch_collector::clock::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_batch_to_a_page_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let (webhook, pages) = listener(|_| (200, "ok")).await;

    // Without a broker it serves, and says what is wrong.
    let mut own = config(folder.path(), port, webhook, "");
    own.external_url = Some("http://hall.example.net/p/".parse().unwrap());
    let collector = run(own).await;
    let reason = eventually("the broker is missed", async || {
        let (status, body) = collector.get("/readyz").await;
        (status == 503 && body.contains("no connection to mqtt://")).then_some(body)
    });
    reason.await;
    assert_eq!(collector.get("/healthz").await.0, 200);
    let broker = mosquitto(folder.path(), port).await;
    collector.ready().await;

    // What an agent sends is on disk before it is acknowledged, under the agent's own tenant.
    let mut agent = Agent::connect(port).await;
    agent.introduce().await;
    agent.batch(1, &[(1, Ok(1.0)), (2, Ok(0.42))]).await;
    let ack = agent.acked(1).await;
    assert_eq!((ack.upto, ack.describe), (1, false));
    let (labels, value) = collector.value("ups_load_ratio").await.expect("it was acknowledged");
    let wanted = r#"{"__name__":"ups_load_ratio","device":"ups-a","feed":"a","room":"hall-1","site":"fra-1","tenant":"acme"}"#;
    assert_eq!((labels, value.as_str()), (serde_json::from_str(wanted).unwrap(), "0.42"));
    let (labels, _) = collector.value("ups_on_battery").await.unwrap();
    assert_eq!(labels["tenant"], "acme");

    // It raises an alert, and someone is told.
    let page = eventually("a page", async || pages.lock().unwrap().first().cloned()).await;
    assert_eq!(page.0, "post /page http/1.1");
    let page: serde_json::Value = serde_json::from_str(&page.1).unwrap();
    assert_eq!((&page["version"], &page["status"]), (&"4".into(), &"firing".into()));
    assert_eq!(page["receiver"], "noc");
    assert_eq!(page["alerts"][0]["labels"]["tenant"], "acme");
    assert_eq!(page["alerts"][0]["annotations"]["summary"], "UPS ups-a on battery");
    // Every link begins with the address as people write it, and has no `//` in it.
    assert_eq!(page["externalURL"], "http://hall.example.net/p");
    let link = "http://hall.example.net/p/graph?g0.expr=ups_on_battery+%3D%3D+1&g0.tab=1";
    assert_eq!(page["alerts"][0]["generatorURL"], link);
    let dashboard = "http://hall.example.net/p/graph?g0.expr=up&g0.tab=0 /p";
    assert_eq!(page["alerts"][0]["annotations"]["dashboard"], dashboard);
    let (_, alerts) = collector.get("/api/v1/alerts").await;
    assert!(alerts.contains(r#""state":"firing""#), "{alerts}");
    let (_, rules) = collector.get("/api/v1/rules?type=alert").await;
    assert!(rules.contains(r#""query":"ups_on_battery == 1""#), "{rules}");

    // Its own series and recorded ones can be asked for.
    for query in ["ALERTS{alertstate=\"firing\"}", "site:ups_on_battery:max", "agent_up == 1"] {
        let (labels, value) = eventually(query, async || collector.value(query).await).await;
        assert_eq!(value, "1", "{query}");
        assert_eq!((&labels["tenant"], &labels["site"]), (&"acme".into(), &"fra-1".into()));
    }
    let value = eventually("backlog", async || collector.value("agent_journal_backlog").await);
    assert_eq!(value.await.1, "5");

    // What is wrong is counted, never stored, never fatal.
    agent.say("gw-1/data", b"garbage".to_vec(), false).await;
    agent.say("gw-2/data", b"garbage".to_vec(), false).await;
    agent.batch(2, &[(77, Ok(1.0))]).await;
    assert!(agent.wanted().await, "the dictionary is asked for");
    for line in [
        "messages_refused_total{reason=\"malformed\"} 1",
        "messages_refused_total{reason=\"unknown_agent\"} 1",
        "messages_refused_total{reason=\"unknown_series\"} 1",
        "batches_stored_total 1",
    ] {
        let line = format!("\nhallwatch_collector_{line}\n");
        eventually(&line, async || collector.get("/metrics").await.1.contains(&line).then_some(()))
            .await;
    }
    for query in
        ["collector_strangers_total{reason=\"unknown_agent\"} == 1", "collector_disk_free_bytes"]
    {
        eventually(query, async || collector.value(query).await).await;
    }

    // A restart: nothing is forgotten, nobody is paged again, and it ends in good order.
    collector.stop().await;
    let told = pages.lock().unwrap().len();
    let collector = run(config(folder.path(), port, webhook, "")).await;
    collector.ready().await;
    assert!(collector.value("max_over_time(ups_load_ratio[5m])").await.is_some());
    agent.batch(2, &[(1, Ok(1.0))]).await;
    agent.acked(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pages.lock().unwrap().len(), told, "the same alert, told before the restart");

    // The broker goes and comes back.
    drop(broker);
    eventually("the broker is missed", async || {
        (collector.get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    let _broker = mosquitto(folder.path(), port).await;
    collector.ready().await;

    // The trouble ends.
    agent.batch(3, &[(1, Ok(0.0))]).await;
    agent.acked(3).await;
    eventually("word that it is over", async || {
        let pages = pages.lock().unwrap();
        pages.last().filter(|page| page.1.contains(r#""status":"resolved""#)).map(|_| ())
    })
    .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_what_is_not_for_everybody_is_told_of() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let _broker = mosquitto(folder.path(), port).await;
    let (webhook, pages) = listener(|_| (200, "ok")).await;
    let mut config = config(folder.path(), port, webhook, "");
    config.rules.set =
        hallwatch_collector::rules::load(&hallwatch_collector::rules::library::FILES).unwrap();
    let collector = run(config).await;
    collector.ready().await;
    let counted = "collector_logins_refused_total{interface=\"admin\"}";
    let (_, count) = eventually(counted, async || collector.value(counted).await).await;
    assert_eq!(count, "0", "it begins before anything happens");
    for _ in 0..12 {
        let mut stream = tokio::net::TcpStream::connect(collector.address).await.unwrap();
        // As a page in a browser on this machine would be made to ask.
        let asked = "POST /-/reload HTTP/1.0\r\nHost: localhost\r\nOrigin: http://evil\r\n\r\n";
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(" 403 "), "{answer}");
    }
    eventually("the page", async || {
        let told = |page: &(String, String)| {
            page.1.contains("LoginsRefused") && page.1.contains("requests at admin in 5 minutes")
        };
        pages.lock().unwrap().iter().any(told).then_some(())
    })
    .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_the_one_that_is_offline_explains_its_own_devices_only() {
    const RULES: &str = r#"
groups:
  - name: watch
    rules:
      - alert: AgentOffline
        expr: agent_up == 0
        annotations: { topology: agent offline }
      - alert: DeviceSilent
        expr: device_up == 0
"#;
    let folder = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let _broker = mosquitto(folder.path(), port).await;
    let (webhook, pages) = listener(|_| (200, "ok")).await;
    let config = || {
        let mut config = config(folder.path(), port, webhook, "");
        let files = [("rules.yaml", RULES)];
        config.rules.set = hallwatch_collector::rules::load(&files).unwrap();
        config.notify.escalate_after = Duration::from_secs(1);
        for name in ["gw-2", "gw-3"] {
            config.sites[0].agents.push(hallwatch_model::Id::new(name).unwrap());
        }
        config
    };
    let collector = run(config()).await;
    collector.ready().await;
    let mut agents = ["gw-1", "gw-2", "gw-3"].map(|name| Agent::named(name, port));
    let devices = ["ups-a", "ups-b", "ups-c"];
    for (agent, device) in agents.iter_mut().zip(devices) {
        agent.reads(device, true).await;
        agent.batch(1, &[(1, Ok(1.0))]).await;
        agent.acked(1).await;
    }

    // One agent ends. What it sent of its device before comes in now, and a device of another
    // agent falls silent in the same moment.
    agents[0].reads(devices[0], false).await;
    let told = |what: &str| pages.lock().unwrap().iter().any(|page| page.1.contains(what));
    eventually("the agent's own page", async || told("AgentOffline").then_some(())).await;
    for agent in agents.iter_mut().take(2) {
        agent.batch(2, &[(1, Ok(0.0))]).await;
        agent.acked(2).await;
    }
    eventually("the page of the other's device", async || told("ups-b").then_some(())).await;
    let suppressed = async |collector: &Running| {
        let (_, body) = collector.get("/api/v1/alerts").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let alerts = body["data"]["alerts"].as_array()?.clone();
        let alert = |device: &str| {
            let of = |alert: &&serde_json::Value| alert["labels"]["device"] == device;
            alerts.iter().find(of).cloned()
        };
        let (own, other) = (alert("ups-a")?, alert("ups-b")?);
        assert_eq!(other["suppressedBy"], serde_json::Value::Null, "{other}");
        own["suppressedBy"].is_object().then_some(own)
    };
    let own = eventually("it is suppressed", async || suppressed(&collector).await).await;
    assert_eq!(own["suppressedBy"]["agent"], "gw-1", "{own}");
    assert!(!told("ups-a"), "it follows from its agent");

    // A collector that is started anew knows from its disk who reads what.
    collector.stop().await;
    let collector = run(config()).await;
    collector.ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    eventually("it is still suppressed", async || suppressed(&collector).await).await;
    assert!(!told("ups-a"), "it follows from its agent still");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_in_the_digest_and_pages_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let _broker = mosquitto(folder.path(), port).await;
    let (webhook, pages) = listener(|_| (200, "ok")).await;
    let collector = run(config(folder.path(), port, webhook, "")).await;
    collector.ready().await;
    let mut agent = Agent::connect(port).await;
    agent.introduce().await;
    let ago = |seconds| now() - Duration::from_secs(seconds);
    for (seq, seconds, value) in [(1, 600, 1.0), (2, 590, 1.0), (3, 500, 0.0)] {
        agent.batch_of(seq, ago(seconds), &[(1, Ok(value))], true).await;
        agent.acked(seq).await;
    }
    let digest = async |collector: &Running| {
        let (_, body) = collector.get("/api/v1/rules/digest").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let alert = body["data"]["alerts"].as_array()?.first()?.clone();
        alert["resolvedAt"].is_string().then_some(alert)
    };
    let alert = eventually("the digest", async || digest(&collector).await).await;
    assert_eq!(alert["rule"], "power/UpsOnBattery");
    assert_eq!(alert["annotations"]["summary"], "UPS ups-a on battery");
    let (_, alerts) = collector.get("/api/v1/alerts").await;
    assert!(alerts.contains(r#""alerts":[]"#), "{alerts}");
    let line = "\nhallwatch_collector_alerts_historical 1\n";
    eventually(line, async || collector.get("/metrics").await.1.contains(line).then_some(())).await;

    collector.stop().await;
    let collector = run(config(folder.path(), port, webhook, "")).await;
    assert_eq!(eventually("the same", async || digest(&collector).await).await, alert);
    assert!(pages.lock().unwrap().is_empty());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_reaches_the_database_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let _broker = mosquitto(folder.path(), port).await;
    let victoria = victoria_metrics(folder.path(), peers::free_port()).await;
    let database = SocketAddr::from(([127, 0, 0, 1], victoria.port));
    let (webhook, _) = listener(|_| (200, "ok")).await;
    let sink = format!("sink = [{{ name = 'history', influx = {{ url = 'http://{database}' }} }}]");
    let collector = run(config(folder.path(), port, webhook, &sink)).await;
    collector.ready().await;
    let mut agent = Agent::connect(port).await;
    agent.introduce().await;
    let missing = Err(hallwatch_model::Missing::Timeout);
    agent.batch(1, &[(1, Ok(1.0)), (2, Ok(0.42)), (3, Ok(0.0))]).await;
    agent.acked(1).await;
    agent.batch(2, &[(2, missing)]).await;
    agent.acked(2).await;

    // One query, the same answer from both, however odd the labels.
    for query in [
        "last_over_time(ups_load_ratio[1m])",
        "environment_leak",
        "ups_on_battery",
        "ALERTS",
        "site:ups_on_battery:max",
    ] {
        let here = eventually(query, async || collector.value(query).await).await;
        let there = eventually(query, async || {
            http(database, "GET", "/internal/force_flush").await?;
            let (_, body) = http(database, "GET", &format!("/api/v1/query?query={query}")).await?;
            let body: serde_json::Value = serde_json::from_str(&body).ok()?;
            let series = body["data"]["result"].as_array()?.first()?.clone();
            Some((series["metric"].clone(), series["value"][1].as_str()?.to_owned()))
        })
        .await;
        assert_eq!(here, there, "{query}");
    }
    let (_, metrics) = http(database, "GET", "/metrics").await.unwrap();
    let invalid = "vm_rows_invalid_total{type=\"influx\"} 0\n";
    assert!(metrics.contains(invalid), "{metrics}");
    collector.stop().await;
}
