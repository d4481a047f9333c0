//! `rules explain`: what the running collector says of an alert, for a terminal.

use std::path::Path;

use hallwatch_collector::config;
use serde_json::Value;

use super::Failed;
use crate::cli::client::{Client, escaped};
use crate::cli::{print, wrapped};

pub(super) fn explain(alert: &str, as_json: bool, path: &Path) -> Result<(), Failed> {
    let config = config::load(path).map_err(Failed::Configuration)?;
    let client = Client::running(&config)
        .ok_or_else(|| Failed::Refused(format!("no collector answers on {}", config.listen)))?;
    let path = format!("/api/v1/rules/explain?alert={}", escaped(alert));
    let answer = client.get(&path).map_err(Failed::Refused)?;
    if as_json {
        print(&answer["data"].to_string());
        return Ok(());
    }
    for alert in answer["data"].as_array().into_iter().flatten() {
        told(alert);
    }
    Ok(())
}

/// An explanation for a terminal.
fn told(alert: &Value) {
    let text = |name: &str| alert[name].as_str().unwrap_or_default();
    let labels = alert["labels"].as_str().unwrap_or("no alert");
    print(&wrapped(&format!("{}  {labels}", text("rule")), 4));
    print(&format!("  {}: {}", text("state"), text("reason")));
    for (key, title) in [("activeAt", "holds since"), ("firedAt", "fires since"), ("held", "held")]
    {
        if let Some(value) = alert[key].as_str() {
            print(&format!("  {title}: {value}"));
        }
    }
    for timer in alert["timers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        print(&format!("  timer: {timer}"));
    }
    for (key, title) in [("expression", "expr"), ("clear", "clear"), ("expect", "expect")] {
        if alert[key].is_object() {
            print(&format!("  {title}"));
            part(&alert[key], 4);
        }
    }
    for input in alert["inputs"].as_array().into_iter().flatten() {
        let text = |name: &str| input[name].as_str();
        let reading = match (text("value"), text("at")) {
            (Some(value), Some(at)) => format!("{value} at {at}"),
            _ => "nothing of late".to_owned(),
        };
        print(&wrapped(&format!("  input {}", text("series").unwrap_or_default()), 4));
        print(&format!("    {reading}"));
    }
}

fn part(of: &Value, indent: usize) {
    let text = of["text"].as_str().unwrap_or_default();
    let values: Vec<&Value> = of["values"].as_array().into_iter().flatten().collect();
    let shown = |value: &Value| {
        let (labels, number) = (value[0].as_str(), value[1].as_str());
        (labels.unwrap_or_default().to_owned(), number.unwrap_or_default().to_owned())
    };
    let is_range = text.ends_with(']');
    let summary = match (&values[..], of["error"].as_str()) {
        (_, Some(error)) => format!("fails: {error}"),
        ([], None) if is_range => String::new(),
        ([], None) => match of["others"].as_u64() {
            Some(1) => "nothing for these labels, one value for others".to_owned(),
            Some(others @ 2..) => format!("nothing for these labels, {others} values for others"),
            _ => "nothing".to_owned(),
        },
        ([one], None) => shown(one).1,
        (many, None) => format!("{} values", many.len()),
    };
    let operator = of["operator"].as_str().map(|operator| format!("[{operator}] "));
    print(&format!("{:indent$}{}{text} = {summary}", "", operator.unwrap_or_default()));
    if values.len() > 1 {
        for value in &values {
            let (labels, number) = shown(value);
            print(&format!("{:indent$}  {number}  {labels}", ""));
        }
    }
    if let Some(more @ 1..) = of["more"].as_u64() {
        print(&format!("{:indent$}  and {more} more", ""));
    }
    of["parts"].as_array().into_iter().flatten().for_each(|inner| part(inner, indent + 2));
}
