//! The pager of the demo: receives notifications as a webhook, shows them, records them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value as Json;

use crate::Error;

/// Where pages go: to the terminal, and, when asked for, to a file with a JSON line each.
#[derive(Clone)]
pub(crate) struct Pager {
    record: Option<Arc<Mutex<Record>>>,
}

struct Record {
    path: PathBuf,
    file: File,
}

impl Pager {
    /// A pager that appends to the file `record`.
    pub(crate) fn new(record: Option<&Path>) -> Result<Self, Error> {
        let open = |path: &Path| -> Result<_, Error> {
            let file = File::options().create(true).append(true).open(path).map_err(|source| {
                Error::File { attempt: "open the record", path: path.to_owned(), source }
            })?;
            Ok(Arc::new(Mutex::new(Record { path: path.to_owned(), file })))
        };
        Ok(Self { record: record.map(open).transpose()? })
    }

    /// The webhook.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/page", post(receive))
            .layer(DefaultBodyLimit::max(1 << 20))
            .with_state(self)
    }
}

async fn receive(State(pager): State<Pager>, body: Bytes) -> (StatusCode, String) {
    let page: Json = match serde_json::from_slice(&body) {
        Ok(page) => page,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not JSON: {error}\n")),
    };
    show(&page);
    if let Some(record) = &pager.record {
        let written = match record.lock() {
            Ok(mut record) => {
                let line = format!("{page}\n");
                let written = record.file.write_all(line.as_bytes());
                written
                    .map_err(|error| format!("cannot write {}: {error}\n", record.path.display()))
            }
            Err(_) => Err("the record is gone\n".to_owned()),
        };
        if let Err(reason) = written {
            return (StatusCode::INTERNAL_SERVER_ERROR, reason);
        }
    }
    (StatusCode::OK, String::new())
}

/// One line for each alert of a page, in the words that a person gets.
#[expect(clippy::print_stdout, reason = "the demo's terminal is its pager")]
fn show(page: &Json) {
    for alert in page["alerts"].as_array().into_iter().flatten() {
        println!("{}", line(alert));
    }
}

fn line(alert: &Json) -> String {
    let text = |value: &Json| printable(value.as_str().unwrap_or("?"));
    let labels = &alert["labels"];
    let summary = text(&alert["annotations"]["summary"]);
    let name = text(&labels["alertname"]);
    if alert["status"] == "resolved" {
        return format!("  OK    {:<9}{name}: over", "");
    }
    let severity = text(&labels["severity"]).to_uppercase();
    let line = format!("  PAGE  {severity:<9}{name}: {summary}");
    match alert["annotations"]["action"].as_str() {
        Some(action) => format!("{line}\n                 do: {}", printable(action)),
        None => line,
    }
}

/// Without control characters: a label must not be able to steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_line_that_cannot_steer_the_terminal() {
        let alert = serde_json::json!({
            "status": "firing",
            "labels": { "alertname": "UtilityLost\u{1b}[2J", "severity": "critical" },
            "annotations": { "summary": "no voltage at\nutility-meter", "action": "call" },
        });
        assert_eq!(
            line(&alert),
            "  PAGE  CRITICAL UtilityLost [2J: no voltage at utility-meter\n                 do: call"
        );
        let over = serde_json::json!({ "status": "resolved", "labels": { "alertname": "X" } });
        assert_eq!(line(&over), "  OK             X: over");
    }
}
