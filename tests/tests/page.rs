//! The page at `/`, in a real browser.

use std::process::Command;
use std::time::Duration;

use axum::extract::Form;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use axum::{Json, Router};
use hallwatch_collector::page::{self, Picture, SiteFacts};
use hallwatch_model::{Labels, Missing, Sample, Timestamp};
use hallwatch_tests::peers::{free_address, listens, program};
use hallwatch_tests::process::Process;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use thirtyfour::prelude::*;

async fn browser(directory: &std::path::Path) -> (Process, WebDriver) {
    // It may have been done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = free_address();
    let mut command = Command::new(program("chromedriver", "chromium-driver"));
    command.arg(format!("--port={}", address.port()));
    let driver = Process::start("chromedriver", directory, command).expect("chromedriver");
    listens(address).await;
    let mut capabilities = DesiredCapabilities::chrome();
    let profile = format!("--user-data-dir={}", directory.join("chromium").display());
    for argument in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1600,1000",
        &profile,
    ] {
        capabilities.add_arg(argument).expect("an argument");
    }
    let binary = program("chromium", "chromium");
    capabilities.set_binary(binary.to_str().expect("a path")).expect("a binary");
    let web = WebDriver::new(format!("http://{address}"), capabilities).await.expect("a session");
    (driver, web)
}

/// The page over a picture that does not change: where it is.
async fn shown(picture: &Picture) -> String {
    served(page::routes().merge(events(picture))).await
}

/// What the page asks for, with a picture that does not change.
fn events(picture: &Picture) -> Router {
    let text = serde_json::to_string(picture).expect("JSON");
    // The stream ends with each picture; the browser asks again.
    let event = format!("retry: 200\nevent: picture\ndata: {text}\n\n");
    let events = async move || ([(CONTENT_TYPE, "text/event-stream")], event.clone());
    Router::new().route("/events", get(events))
}

/// Where these routes are.
async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

/// Waits until the page says this, in whatever case.
async fn says(web: &WebDriver, text: &str) {
    wait_for(&format!("{text:?} on the page"), Duration::from_secs(40), async || {
        let body = web.find(By::Tag("body")).await.ok()?.text().await.ok()?;
        body.to_lowercase().contains(&text.to_lowercase()).then_some(())
    })
    .await;
}

/// A picture for whoever wants to look: a file in the folder that `HALLWATCH_PICTURES` names.
async fn keep(web: &WebDriver, name: &str) {
    let picture = web.screenshot_as_png().await.expect("a picture");
    assert!(picture.len() > 10_000);
    if let Ok(folder) = std::env::var("HALLWATCH_PICTURES") {
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, picture).expect("the picture");
    }
}

/// A site with a device that is silent, one without a number, and alerts of every kind.
fn picture() -> Picture {
    let now = Timestamp::from_millis(1_795_276_800_000);
    let before = |seconds| now - Duration::from_secs(seconds);
    let site = [("tenant", "acme"), ("site", "fra-1")];
    let series = |metric: &str, device: &'static str| {
        Labels::metric(metric, site.into_iter().chain([("device", device)]))
    };
    let sample = |labels, value, at| (labels, Sample { time: at, value });
    let latest = [
        sample(series("device_up", "pdu-a1"), Ok(0.0), before(1)),
        sample(series("pdu_inlet_voltage_volts", "pdu-a1"), Ok(230.0), before(90)),
        sample(series("device_up", "probe"), Ok(1.0), before(1)),
        sample(
            series("environment_temperature_celsius", "probe"),
            Err(Missing::Timeout),
            before(1),
        ),
        sample(series("environment_humidity_ratio", "probe"), Ok(0.4), before(1)),
    ];
    let labels = |name: &str, severity: &str, device: &str| {
        let more = [("alertname", name), ("severity", severity), ("device", device)];
        Labels::from_pairs(site.into_iter().chain(more))
    };
    let alert = |name: &str, severity: &str, device: &str| {
        let labels = labels(name, severity, device);
        page::Alert::new(&labels, |_| None, "firing", false, before(300))
    };
    let cause = alert("UpsOutputOff", "critical", "ups-a");
    let follows = alert("PduFeedLost", "critical", "pdu-a1");
    let follows = follows.following(&labels("UpsOutputOff", "critical", "ups-a"));
    let mut held = alert("CoolingAlarm", "warning", "crac-1");
    held.held = true;
    held.held_since = Some(before(7_500).as_millis());
    held.held_because = r#"no fresh value of cooling_alarm{device="crac-1"}"#.into();
    let mut flaps = alert("AtsAlarm", "warning", "ats");
    flaps.flapping = Some(7);
    let agents = vec![page::Agent { id: "gw-1".into(), up: Some(true), seen: None, backlog: 0 }];
    let facts =
        SiteFacts { tenant: "acme".into(), id: "fra-1".into(), name: "Frankfurt 1".into(), agents };
    let alerts = vec![follows, held, flaps, cause];
    Picture::new(now, "c-1", vec![facts], &latest, alerts, Vec::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_flapping_or_follows_is_said_and_nothing_is_squeezed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_driver, web) = browser(directory.path()).await;
    web.goto(shown(&picture()).await).await.expect("the page");
    let body = async || web.find(By::Tag("body")).await.ok()?.text().await.ok();
    let text = wait_for("the picture", Duration::from_secs(40), async || {
        body().await.filter(|text| text.contains("AtsAlarm"))
    })
    .await;
    // Some of it is set in capitals.
    let text = text.to_lowercase();
    for wanted in [
        "2\ncritical",
        "2\nwarnings",
        "1\nheld",
        "1\nsuppressed",
        "1\nflapping",
        "1\nsilent device",
        "flapping: 7 changes",
        "held: input lost",
        "not known since 13:55:00 (2 h 5 min): no fresh value of cooling_alarm{device=\"crac-1\"}",
        "not paged: follows from upsoutputoff ups-a",
        "1 suppressed by this",
        "✕ not answering",
        "no answer in time",
    ] {
        let counted = wanted.replace('\n', "");
        assert!(text.contains(wanted) || text.contains(&counted), "{wanted:?} in\n{text}");
    }
    // What follows stands after what is to be mended, also after warnings.
    let place = |name: &str| text.find(name).expect("an alert");
    assert!(place("upsoutputoff · ") < place("atsalarm"), "{text}");
    assert!(place("atsalarm") < place("pdufeedlost"), "{text}");

    let number = async |script: &str| {
        let found = web.execute(script, Vec::new()).await.expect("an answer");
        found.convert::<f64>().expect("a number")
    };
    // A browser's window is never narrower than 500; a phone's page is laid out as this one.
    for (width, height) in [(1600, 1000), (1280, 720), (500, 844)] {
        web.set_window_rect(0, 0, width, height).await.expect("another size");
        let over = "return document.documentElement.scrollWidth - innerWidth";
        wait_for("the layout", Duration::from_secs(20), async || {
            (number("return innerWidth").await <= f64::from(width)).then_some(())
        })
        .await;
        let over = number(over).await;
        assert!(over <= 0.0, "{width}: it is {over} too wide");
        // A name beside a long reason keeps its words: no line of one letter each.
        let names = "return Math.max(...[...document.querySelectorAll('.values dt')]\
                     .map((name) => name.getBoundingClientRect().height))";
        let high = number(names).await;
        assert!(high < 30.0, "{width}: a name is {high} high");
    }
    web.quit().await.expect("the browser ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_one_rule_are_one_row_that_opens_and_stays_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_driver, web) = browser(directory.path()).await;
    let mut many = picture();
    let now = Timestamp::from_millis(many.now);
    let alert = |name: &str, severity: &str, device: &str, seconds| {
        let labels = Labels::from_pairs([
            ("alertname", name),
            ("severity", severity),
            ("tenant", "acme"),
            ("site", "fra-1"),
            ("device", device),
        ]);
        let summary = format!("{device} has lost its feed");
        let annotation = |of: &str| match of {
            "summary" => Some(summary.as_str()),
            "action" => Some("Go there"),
            _ => None,
        };
        page::Alert::new(&labels, annotation, "firing", false, now - Duration::from_secs(seconds))
    };
    let mut alerts = many.alerts.clone();
    alerts.extend((1..=60).map(|i| alert("FeedLost", "critical", &format!("rack-{i:02}"), 60 + i)));
    alerts.extend((1..=2).map(|i| alert("Warm", "warning", &format!("aisle-{i}"), 30)));
    many = Picture::new(now, "c-1", Vec::new(), &[], alerts, Vec::new());
    web.goto(shown(&many).await).await.expect("the page");

    let row = wait_for("the row", Duration::from_secs(40), async || {
        let rows = web.find_all(By::Css("#alerts > li")).await.ok()?;
        for row in rows {
            if row.text().await.ok()?.contains("60 × FeedLost") {
                return Some(row);
            }
        }
        None
    })
    .await;
    let rows = web.find_all(By::Css("#alerts > li")).await.expect("rows");
    let mut order = Vec::new();
    for row in rows {
        order.push(row.find(By::Css("h3")).await.expect("a heading").text().await.expect("text"));
    }
    let expected =
        ["60 × FeedLost", "UpsOutputOff", "2 × Warm", "AtsAlarm", "CoolingAlarm", "PduFeedLost"];
    assert_eq!(order, expected);
    let text = row.text().await.expect("text");
    for wanted in ["FIRING", "CRITICAL", "2 min", "rack-01, rack-02", "and 56 more", "Go there"] {
        assert!(text.contains(wanted), "{wanted:?} in\n{text}");
    }
    assert!(!text.contains("rack-60"), "it is closed:\n{text}");
    row.find(By::Css("summary")).await.expect("a summary").click().await.expect("a click");
    let text = row.text().await.expect("text");
    assert!(text.contains("rack-60 has lost its feed"), "{text}");
    // The stream comes again with the same picture.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(row.text().await.expect("the same row").contains("rack-60 has lost its feed"));
    web.quit().await.expect("the browser ends");
}

/// 1,303 alerts, of which 500 fit a picture.
fn crowd(now: Timestamp) -> Vec<page::Alert> {
    let labels = |name: &str, device: &str| {
        let more = [("alertname", name), ("severity", "critical"), ("device", device)];
        Labels::from_pairs([("tenant", "acme"), ("site", "fra-1")].into_iter().chain(more))
    };
    let alert = |name: &str, state: &str, device: &str, seconds| {
        let summary = format!("{device} has {name}");
        let annotation = |of: &str| (of == "summary").then_some(summary.as_str());
        let since = now - Duration::from_secs(seconds);
        page::Alert::new(&labels(name, device), annotation, state, false, since)
    };
    let firing = |name: &str, device: &str, seconds| alert(name, "firing", device, seconds);
    let many = |i: u64| firing("Many", &format!("rack-{i:03}"), 60 + i);
    let mut alerts: Vec<_> = (1..=599).map(many).collect();
    alerts.push(firing("Many", "rack-old", 3 * 3_600));
    alerts.extend((1..=100).map(|i| {
        let mut pending = alert("Many", "pending", &format!("aisle-{i:03}"), 20_000 + i);
        pending.held = true;
        pending
    }));
    alerts.push(firing("UpsOutputOff", "ups-a", 900));
    let cause = labels("UpsOutputOff", "ups-a");
    let follows = |i: u64| firing("FeedLost", &format!("pdu-{i:03}"), i).following(&cause);
    alerts.extend((1..=600).map(follows));
    alerts.push(firing("FeedLost", "pdu-own", 7_500));
    alerts.push(firing("Dark", "lamp-1", 10).following(&labels("Many", "rack-old")));
    alerts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_picture_is_counted_and_named_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_driver, web) = browser(directory.path()).await;
    let now = Timestamp::from_millis(1_795_276_800_000);
    let crowd = Picture::new(now, "c-1", Vec::new(), &[], crowd(now), Vec::new());
    assert_eq!(crowd.alerts.len(), 500);
    web.goto(shown(&crowd).await).await.expect("the page");
    says(&web, "700 × ").await;
    keep(&web, "crowd").await;
    let mut rows = Vec::new();
    for row in web.find_all(By::Css("#alerts > li")).await.expect("rows") {
        rows.push(row.text().await.expect("text").to_lowercase());
    }
    let row = |of: &str| {
        let found = rows.iter().find(|row| row.contains(of));
        found.unwrap_or_else(|| panic!("no {of:?} in {rows:#?}"))
    };
    let has = |row: &str, wanted: &[&str]| {
        for wanted in wanted {
            assert!(row.contains(wanted), "{wanted:?} in\n{row}");
        }
    };
    let many =
        ["600 firing", "100 pending", "100 held", "since 13:00:00", "3 h 0 min", "and 696 more"];
    has(row("700 × many"), &many);
    // What is paged comes before what is newer and not paged.
    let feed = row("601 × feedlost");
    has(feed, &["601 firing", "600 not paged: follow from upsoutputoff ups-a"]);
    has(feed, &["2 h 5 min", "pdu-own, ", "and 597 more"]);
    has(row("ups-a has upsoutputoff"), &["600 suppressed by this"]);
    has(row("lamp-1 has dark"), &["not paged: follows from many rack-old"]);
    web.quit().await.expect("the browser ends");
}

/// Somebody has asked for what is quick.
static QUICK: tokio::sync::Notify = tokio::sync::Notify::const_new();

/// A collector's answer to a query: at once, but for one that takes longer than the next.
async fn answer(Form(asked): Form<Vec<(String, String)>>) -> Json<serde_json::Value> {
    let asked = asked.into_iter().find(|(name, _)| name == "query").expect("a query").1;
    if asked == "slow" {
        QUICK.notified().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if asked == "quick" {
        QUICK.notify_one();
    }
    let result = match asked.as_str() {
        "nothing" => serde_json::json!([]),
        _ => serde_json::json!([{ "metric": { "asked": asked }, "value": [1_795_276_800.5, "1"] }]),
    };
    Json(serde_json::json!({
        "status": "success",
        "data": { "resultType": "vector", "result": result },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_is_answered_by_its_own_answer_and_at_its_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_driver, web) = browser(directory.path()).await;
    let routes = page::routes().route("/api/v1/query", post(answer));
    let page = served(routes).await;
    web.goto(format!("{page}graph?g0.expr=slow")).await.expect("the page");
    says(&web, "Asking").await;
    let input = web.find(By::Id("expression")).await.expect("an input");
    let ask = async |expression: &str| {
        input.clear().await.expect("an empty input");
        input.send_keys(expression.to_owned() + Key::Enter).await.expect("keys");
    };
    // The first is still under way; when its answer comes, nobody wants it any more.
    ask("quick").await;
    says(&web, "{asked=\"quick\"}").await;
    says(&web, "2026-11-21 16:00:00 UTC: 1 series").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    says(&web, "{asked=\"quick\"}").await;
    keep(&web, "expression").await;

    ask("nothing").await;
    says(&web, "UTC: nothing.").await;
    // No value tells the time of such an answer; its server does.
    let said = web.find(By::Id("said")).await.expect("what is said").text().await.expect("text");
    assert!(!said.starts_with("2026-11-21 16:00:00"), "{said}");

    ask("quick").await;
    says(&web, "1 series").await;
    ask("").await;
    says(&web, "Nothing is asked.").await;
    let body = web.find(By::Tag("body")).await.expect("a body").text().await.expect("text");
    assert!(!body.contains("1 series") && !body.contains("{asked="), "{body}");
    let title = web.title().await.expect("a title");
    assert_eq!(title, "Expression – Hallwatch");
    web.quit().await.expect("the browser ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_pages_work_behind_a_path() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_driver, web) = browser(directory.path()).await;
    // As a proxy does that cuts the path off.
    let own = page::routes().merge(events(&picture())).route("/api/v1/query", post(answer));
    let page = served(Router::new().nest("/hall/", own)).await;
    web.goto(format!("{page}hall/")).await.expect("the page");
    says(&web, "AtsAlarm").await;
    web.goto(format!("{page}hall/graph?g0.expr=up&g0.tab=0")).await.expect("the other page");
    says(&web, "{asked=\"up\"}").await;
    let colour = "return getComputedStyle(document.body).backgroundColor";
    let colour = web.execute(colour, Vec::new()).await.expect("an answer");
    assert_eq!(colour.convert::<String>().expect("a text"), "rgb(10, 14, 19)");
    web.find(By::Css("h1 a")).await.expect("a link").click().await.expect("a click");
    says(&web, "AtsAlarm").await;
    assert_eq!(web.current_url().await.expect("an address").path(), "/hall/");
    web.quit().await.expect("the browser ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_sites_devices_and_alerts_and_updates_by_itself() {
    let mut site = Site::start(Options { speed: 5, ..Options::default() }).await;
    let (_driver, web) = browser(site.directory()).await;
    web.goto(format!("{}/", site.api)).await.expect("the page");
    let shows = async |text: &str| says(&web, text).await;
    shows("Frankfurt 1").await;
    shows("utility-meter").await;
    shows("ups-a").await;

    // Without a reload: a fault appears, and goes.
    site.cause("utility-off").await;
    shows("UtilityLost").await;
    shows("critical").await;
    keep(&web, "utility-lost").await;

    // The link of a notification leads to what the expression comes to.
    let page = site.pager.alert("UtilityLost", "firing", Duration::from_secs(40)).await;
    let link = page["generatorURL"].as_str().expect("a link");
    assert!(link.starts_with(&format!("{}/graph?", site.api)), "{link}");
    web.goto(link).await.expect("the page of the expression");
    shows("1 series").await;
    shows("ats_source_available{").await;
    let input = web.find(By::Id("expression")).await.expect("an input");
    input.clear().await.expect("an empty input");
    input.send_keys("vector(" + Key::Enter).await.expect("a mistake");
    shows("It cannot be answered: ").await;
    web.goto(format!("{}/", site.api)).await.expect("the page");
    shows("UtilityLost").await;

    site.end("utility-off").await;
    wait_for("the end of the alert on the page", Duration::from_secs(60), async || {
        let body = web.find(By::Tag("body")).await.ok()?.text().await.ok()?;
        (!body.contains("UtilityLost")).then_some(())
    })
    .await;

    // A page that cannot hear its collector must not look healthy.
    site.collector.kill();
    wait_for("the page to say that it is cut off", Duration::from_secs(40), async || {
        let class = web.find(By::Tag("body")).await.ok()?.class_name().await.ok()??;
        class.split(' ').any(|word| word == "frozen").then_some(())
    })
    .await;
    site.restart_collector();
    wait_for("the page to come back", Duration::from_secs(40), async || {
        let class = web.find(By::Tag("body")).await.ok()?.class_name().await.ok()?;
        class.is_none_or(|class| !class.contains("frozen")).then_some(())
    })
    .await;
    web.quit().await.expect("the browser ends");
}
