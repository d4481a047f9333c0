//! A client of the Prometheus HTTP API, the same for the collector and for VictoriaMetrics.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value as Json;

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client")
});

/// The HTTP client of the tests.
pub fn http() -> &'static reqwest::Client {
    &CLIENT
}

/// One series of an answer.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels, `__name__` among them.
    pub labels: serde_json::Map<String, Json>,
    /// Times in seconds and values.
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// A label's value, or an empty text.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).and_then(Json::as_str).unwrap_or("")
    }

    /// The last value.
    pub fn last(&self) -> f64 {
        self.samples.last().expect("a sample").1
    }
}

/// GET of a path with parameters; the JSON, or a panic with what came instead.
pub async fn get(base: &str, path: &str, parameters: &[(&str, &str)]) -> Json {
    try_get(base, path, parameters).await.unwrap_or_else(|error| panic!("{base}{path}: {error}"))
}

/// GET of a path with parameters, for servers that may be away.
pub async fn try_get(base: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Json, String> {
    let url = format!("{base}{path}");
    let request = if parameters.is_empty() {
        http().get(url)
    } else {
        http()
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(parameters))
    };
    let answer = request.send().await;
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = answer.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))
}

fn form(parameters: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

/// An instant query, now.
pub async fn query(base: &str, expr: &str) -> Vec<Series> {
    let answer = get(base, "/api/v1/query", &[("query", expr)]).await;
    series(&answer)
}

/// An instant query, now, on a server that may be away.
pub async fn try_query(base: &str, expr: &str) -> Result<Vec<Series>, String> {
    try_get(base, "/api/v1/query", &[("query", expr)]).await.map(|answer| series(&answer))
}

/// The series of an answer to `query` or `query_range`.
pub fn series(answer: &Json) -> Vec<Series> {
    let result = answer["data"]["result"].as_array().expect("a result");
    result
        .iter()
        .map(|one| {
            let pairs = match &one["values"] {
                Json::Array(values) => values.clone(),
                _ => vec![one["value"].clone()],
            };
            let sample = |pair: &Json| {
                let value = pair[1].as_str().expect("a value").replace("Inf", "inf");
                (pair[0].as_f64().expect("a time"), value.parse().expect("a number"))
            };
            Series {
                labels: one["metric"].as_object().cloned().unwrap_or_default(),
                samples: pairs.iter().map(sample).collect(),
            }
        })
        .collect()
}
