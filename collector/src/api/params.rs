//! The parameters of a request: of the URL, and of the form in its body.

use axum::Form;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{Method, StatusCode, header};
use hallwatch_model::Timestamp;
use hallwatch_promql::Matchers;

use super::reply::{Refusal, RefusalKind};
use super::time::{BadDuration, parse_duration, parse_time};

/// The longest URL, in bytes. A dashboard sends longer queries as a form.
pub const MAX_URL_BYTES: usize = 16 << 10;
/// The longest form, in bytes.
pub const MAX_FORM_BYTES: usize = 1 << 20;
/// The most parameters of one request.
const MAX_PARAMETERS: usize = 1_000;

const NO_MATCHER: &str = "match[] must contain at least one non-empty matcher";

/// The parameters, those of the body first, as Prometheus reads them.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let of_url = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|_| Refusal::bad_data("the query of the URL is not a form"))?;
        let is_form = request.method() == Method::POST
            && request
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let mut all = Vec::new();
        if is_form {
            Form(all) = Form::from_request(request, state).await.map_err(unread)?;
        }
        all.extend(of_url.0);
        if all.len() > MAX_PARAMETERS {
            return Err(Refusal::bad_data(format!("more than {MAX_PARAMETERS} parameters")));
        }
        Ok(Self(all))
    }
}

fn unread(rejection: impl axum::response::IntoResponse) -> Refusal {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        let error = format!("the form has more than {MAX_FORM_BYTES} bytes");
        return Refusal { kind: RefusalKind::TooLarge, error };
    }
    Refusal::bad_data("the body is not a form")
}

impl Params {
    /// The first value of `name`; empty is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.iter().find(|(key, _)| key == name);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The time `name`, or `default` when it is not given.
    pub(super) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, Refusal> {
        let Some(text) = self.get(name) else { return Ok(default) };
        parse_time(text).ok_or_else(|| {
            let what = format!("Invalid time value for '{name}': {}", not_a_time(text));
            Refusal::parameter(name, what)
        })
    }

    /// The time `name`, which must be given.
    pub(super) fn time(&self, name: &str) -> Result<Timestamp, Refusal> {
        let text = self.get(name).unwrap_or_default();
        parse_time(text).ok_or_else(|| Refusal::parameter(name, not_a_time(text)))
    }

    /// The duration `name` in milliseconds, which must be given.
    pub(super) fn duration(&self, name: &str) -> Result<i64, Refusal> {
        let text = self.get(name).unwrap_or_default();
        parse_duration(text).map_err(|error| {
            let more = match error {
                BadDuration::Form => "",
                BadDuration::Overflow => ". It overflows int64",
            };
            let what = format!("cannot parse {text:?} to a valid duration{more}");
            Refusal::parameter(name, what)
        })
    }

    /// The duration `name` in milliseconds, when it is given.
    pub(super) fn optional_duration(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|_| self.duration(name)).transpose()
    }

    /// How many results at most; `None` and 0 mean all.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match text.parse::<usize>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(Refusal::parameter("limit", "limit must be a non-negative number")),
        }
    }

    /// The selectors `match[]`.
    pub(super) fn matchers(&self) -> Result<Vec<Matchers>, Refusal> {
        self.all("match[]").map(selector).collect()
    }
}

fn selector(text: &str) -> Result<Matchers, Refusal> {
    let refused = |error: hallwatch_promql::Error| {
        let error = error.to_string();
        let mut reason = error.strip_prefix("invalid parameter \"query\": ").unwrap_or(&error);
        // The parser finds some of these itself, and says it in other words than Prometheus' API.
        if reason.ends_with("must contain at least one non-empty matcher") {
            reason = NO_MATCHER;
        }
        Refusal::parameter("match[]", reason)
    };
    let matchers = Matchers::parse(text).map_err(refused)?;
    if matchers.iter().all(|matcher| matcher.matches("")) {
        return Err(Refusal::parameter("match[]", NO_MATCHER));
    }
    Ok(matchers)
}

fn not_a_time(text: &str) -> String {
    format!("cannot parse {text:?} to a valid timestamp")
}
