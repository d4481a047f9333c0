//! The shipped rules: what each must say, the runbook page it must have, the timelines on which it
//! must and must not fire, and what Prometheus thinks of it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use hallwatch_collector::page::RUNBOOKS;
use hallwatch_collector::rules::{
    AlertState, Engine, Health, Options, Rule, RuleSet, library, load,
};
use hallwatch_model::{Labels, Timestamp, vocabulary};
use hallwatch_promql::{MemorySource, Query};

/// Rules for a Prometheus beside the collector: on what the collector counts of itself.
const OUTSIDE: &str = include_str!("../rules/outside/collector.yaml");

fn dir(under: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(under)
}

/// Every file in `dir` with this extension, sorted.
fn files(dir: &Path, extension: &str) -> Vec<String> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    let mut names: Vec<String> =
        wanted.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn all() -> [RuleSet; 2] {
    [&library::FILES[..], &[("outside/collector.yaml", OUTSIDE)]]
        .map(|files| load(files).unwrap_or_else(|invalid| panic!("{invalid}")))
}

fn rules(sets: &[RuleSet]) -> impl Iterator<Item = &Rule> {
    sets.iter().flat_map(|set| &set.groups).flat_map(|group| &group.rules)
}

fn annotation<'r>(rule: &'r Rule, name: &str) -> &'r str {
    let annotations = &rule.alerting().unwrap().annotations;
    let found = annotations.iter().find(|(known, _)| &**known == name);
    found.map_or("", |(_, text)| text.text())
}

fn severity(rule: &Rule) -> &str {
    rule.labels.iter().find(|(name, _)| &**name == "severity").map_or("", |(_, text)| text.text())
}

/// `FooBar` as the name of its page: `foo-bar`.
fn page_name(alert: &str) -> String {
    let mut name = String::new();
    for (at, letter) in alert.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Minutes of a response time; `None` for a form that is not used here.
fn minutes(response: &str) -> Option<u32> {
    match response.split_once(' ')? {
        (count, "min") => count.parse().ok().filter(|count| (1..60).contains(count)),
        (count, "h") => {
            Some(60 * count.parse::<u32>().ok().filter(|count| (1..=8).contains(count))?)
        }
        ("next", "working day") => Some(24 * 60),
        _ => None,
    }
}

#[test]
fn shipped_rules_load_without_a_warning_and_say_what_to_do() {
    let sets = all();
    let warnings: Vec<_> = sets[0].warnings.iter().map(|warning| &warning.message).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    let mut names = BTreeSet::new();
    for rule in rules(&sets) {
        let name = &rule.name;
        assert!(names.insert(name), "{name} twice");
        // The first says the cause.
        for wanted in ["description", "summary", "consequence", "action"] {
            let text = annotation(rule, wanted);
            assert!(text.len() > 4 && text == text.trim(), "{name} {wanted}: {text:?}");
        }
        let response = annotation(rule, "response");
        let within = minutes(response).unwrap_or_else(|| panic!("{name}: response {response:?}"));
        let limit = match severity(rule) {
            "critical" => 30,
            "warning" | "info" => 24 * 60,
            other => panic!("{name}: severity {other:?}"),
        };
        assert!(within <= limit, "{name} is {} and waits for {response}", severity(rule));
        let expected = format!("runbooks/{}.md", page_name(name));
        assert_eq!(annotation(rule, "runbook_url"), expected, "{name}");
    }
    assert!(names.len() >= 90, "{}", names.len());
}

#[test]
fn rules_from_outside_use_what_the_collector_counts() {
    let known = include_str!("../src/telemetry.rs");
    let mut found = BTreeSet::new();
    for part in OUTSIDE.split("hallwatch_collector_").skip(1) {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap();
        let name = part[..end].trim_end_matches("_bucket");
        assert!(known.contains(&format!("\"{name}\"")), "nobody counts {name}");
        found.insert(name);
    }
    assert!(found.len() >= 8, "{found:?}");
}

#[test]
fn every_rule_has_its_runbook_page_and_no_page_is_orphaned() {
    let sets = all();
    let pages: BTreeMap<&str, &str> = RUNBOOKS.iter().copied().collect();
    let found = files(&dir("../runbooks"), "md");
    let embedded: Vec<String> = RUNBOOKS.iter().map(|(name, _)| format!("{name}.md")).collect();
    assert_eq!(found, embedded, "every page is embedded, in order");

    let mut orphans: BTreeSet<&str> = pages.keys().copied().collect();
    assert!(orphans.remove("README"));
    for rule in rules(&sets) {
        let name = page_name(&rule.name);
        let page = pages.get(&*name).unwrap_or_else(|| panic!("{} has no page", rule.name));
        orphans.remove(&*name);
        let heading = format!("# {}\n", rule.name);
        assert!(page.starts_with(&heading), "{name}: its heading");
        // What the page says of the rule is what the rule says.
        let asks = format!("\n```promql\n{}\n```\n", rule.query.text().trim_end());
        assert!(page.contains(&asks), "{name} does not show {asks}");
        let answer =
            format!("`{}`, answer within: {}.", severity(rule), annotation(rule, "response"));
        assert!(page.contains(&answer), "{name} does not say {answer}");
        for section in [
            "What it means",
            "If nothing is done",
            "Look first",
            "Do, in this order",
            "When it resolves",
            "Likely causes, the most frequent first",
            "False alarms",
            "Whom to call",
        ] {
            assert!(page.contains(&format!("\n## {section}\n\n")), "{name}: {section}");
        }
        assert!(page.contains("\n**Safe to do:** "), "{name}: what is safe");
        let row = format!(
            "| [{}]({name}.md) | {} | {} |\n",
            rule.name,
            severity(rule),
            annotation(rule, "response")
        );
        assert!(pages["README"].contains(&row), "the index lacks {row}");
    }
    assert!(orphans.is_empty(), "no rule leads to {orphans:?}");

    for (name, page) in &pages {
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(dir("../runbooks").join(link).is_file(), "{name}: a dead link to {link}");
        }
    }
}

/// The bullets of a page that begin with `word`, each as one text.
fn bullets<'p>(page: &'p str, word: &str) -> impl Iterator<Item = &'p str> {
    let start = format!("\n- {word}: ");
    let found: Vec<usize> = page.match_indices(&start).map(|(at, _)| at + start.len()).collect();
    found.into_iter().map(|at| {
        let end = ["\n- ", "\n\n"].iter().filter_map(|end| page[at..].find(end)).min().unwrap();
        &page[at..at + end]
    })
}

#[test]
fn queries_and_panels_that_the_pages_name_are_there() {
    let dashboard = include_str!("../../dashboards/noc-overview.json");
    let (mut queries, mut panels) = (0, 0);
    for (name, page) in RUNBOOKS {
        // Every second part of a text stands between marks.
        let quoted = |text: &'static str, mark| text.split(mark).skip(1).step_by(2);
        for code in bullets(page, "Query").flat_map(|bullet| quoted(bullet, '`')) {
            // Words without either are names of labels and their values.
            if !code.contains(['_', '(']) {
                continue;
            }
            let query =
                Query::parse(code).unwrap_or_else(|error| panic!("{name}: {code}: {error}"));
            for selector in query.selectors() {
                let metric = selector.matchers.metric_name().unwrap();
                assert!(vocabulary::find(metric).is_some(), "{name}: nobody writes {metric}");
            }
            queries += 1;
        }
        for panel in bullets(page, "Grafana").flat_map(|bullet| quoted(bullet, '*')) {
            let title = format!("\"title\": \"{panel}\"");
            assert!(dashboard.contains(&title), "{name}: no panel {panel:?}");
            panels += 1;
        }
    }
    assert!(queries > 150 && panels > 40, "{queries} {panels}");
}

fn promtool(dir: &Path, arguments: &[&str], files: &[String]) {
    let output = Command::new("promtool")
        .args(arguments)
        .args(files)
        .current_dir(dir)
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}\n{said}");
}

#[test]
fn promtool_accepts_the_shipped_rules() {
    let found = files(&dir("rules"), "yaml");
    let mut shipped: Vec<&str> = library::FILES.iter().map(|(name, _)| *name).collect();
    shipped.sort_unstable();
    assert_eq!(found, shipped, "every file is embedded");
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    promtool(&dir("rules"), &check, &found);
    promtool(&dir("rules/outside"), &check, &files(&dir("rules/outside"), "yaml"));
}

/// The timelines of a test file by their names, as text.
fn timelines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n  - name: ").skip(1).map(|test| test.split_once('\n').unwrap())
}

#[test]
fn promtool_sees_every_shipped_rule_fire_and_stay_quiet() {
    let mut seen = BTreeMap::new();
    let mut texts = Vec::new();
    for under in ["rules/tests", "rules/tests/outside"] {
        let found = files(&dir(under), "yaml");
        texts.extend(found.iter().map(|f| std::fs::read_to_string(dir(under).join(f)).unwrap()));
        promtool(&dir(under), &["test", "rules"], &found);
    }
    for (name, test) in texts.iter().flat_map(|text| timelines(text)) {
        assert!(seen.insert(name, test).is_none(), "{name} twice");
    }
    let sets = all();
    for rule in rules(&sets) {
        let name = &rule.name;
        let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        let one = format!("exp_samples: [{{labels: '{{alertname=\"{name}\"}}', value: 1}}]");
        for (kind, expected) in [("fires", &*one), ("stays quiet", "exp_samples: []")] {
            let test = seen.get(&*format!("{name} {kind}"));
            let test = test.unwrap_or_else(|| panic!("{name} has no timeline on which it {kind}"));
            assert!(test.contains("- series: "), "{name} {kind}: nothing is measured");
            assert!(test.contains(&firing) && test.contains(expected), "{name} {kind}: {test}");
        }
    }
}

/// The value of `key: 'value'` or `key: value` in a line.
fn value<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let rest = line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(": ")?;
    Some(rest.trim_matches('\''))
}

fn seconds(duration: &str) -> i64 {
    let (count, unit) = duration.split_at(duration.len() - 1);
    let unit = ["s", "m", "h"].iter().position(|known| *known == unit).unwrap();
    count.parse::<i64>().unwrap() * [1, 60, 3600][unit]
}

/// `promtool`'s notation of values: `1x3` is four times 1, `0+5x2` is 0, 5, 10, `_x3` three times
/// nothing.
fn values(notation: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    for part in notation.split_whitespace() {
        let (start, count) = part.split_once('x').unwrap();
        let count: u32 = count.parse().unwrap();
        let steps = if start == "_" { 1..=count } else { 0..=count };
        let sign = start[1..].find(['+', '-']).map(|at| at + 1);
        let (start, step) = start.split_at(sign.unwrap_or(start.len()));
        for n in steps {
            let step = if step.is_empty() { 0.0 } else { step.parse::<f64>().unwrap() };
            values
                .push((start != "_").then(|| start.parse::<f64>().unwrap() + f64::from(n) * step));
        }
    }
    values
}

fn labels(series: &str) -> Labels {
    let (name, pairs) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
    let pairs = pairs.split(", ").map(|pair| pair.split_once('=').unwrap());
    Labels::metric(name, pairs.map(|(key, text)| (key, text.trim_matches('"'))))
}

#[test]
fn the_engine_says_of_every_timeline_what_promtool_says() {
    let outside = ("outside/collector.yaml", OUTSIDE);
    let mut count = 0;
    for (name, rules) in library::FILES.iter().chain([&outside]) {
        let path = match *name {
            "outside/collector.yaml" => "rules/tests/outside/collector.yaml".to_owned(),
            name => format!("rules/tests/{name}"),
        };
        let tests = std::fs::read_to_string(dir(&path)).unwrap();
        for (title, test) in timelines(&tests) {
            let of = |key| test.lines().find_map(|line| value(line, key)).unwrap();
            let interval = seconds(of("interval"));
            let end = seconds(of("eval_time"));
            let mut source = MemorySource::new();
            let named = test.lines().filter_map(|line| value(line, "series"));
            for (series, notation) in named.zip(test.lines().filter_map(|l| value(l, "values"))) {
                let labels = labels(series);
                for (at, value) in
                    (0..).step_by(usize::try_from(interval).unwrap()).zip(values(notation))
                {
                    if let Some(value) = value {
                        source.push(&labels, Timestamp::from_millis(at * 1000), value);
                    }
                }
            }
            let mut engine =
                Engine::new(load(&[(name, rules)]).unwrap(), Vec::new(), Options::default());
            for at in (0..=end).step_by(usize::try_from(interval.max(5)).unwrap()) {
                engine.evaluate(Timestamp::from_millis(at * 1000), &source);
            }
            let (alert, kind) = title.split_once(' ').unwrap();
            let view = engine.view();
            let rule = view
                .groups
                .iter()
                .flat_map(|group| &group.rules)
                .find(|rule| *rule.name == *alert)
                .unwrap();
            assert_eq!(rule.health, Health::Ok, "{title}");
            let alerts = &rule.alerting.as_ref().unwrap().alerts;
            let firing = alerts.iter().filter(|a| a.state == AlertState::Firing);
            assert_eq!(firing.count(), usize::from(kind == "fires"), "{title}: {alerts:?}");
            count += 1;
        }
    }
    assert!(count >= 180, "{count}");
}
