//! When a message was measured, by its own account.

use std::time::Duration;

use hallwatch_model::Timestamp;
use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::Path;

/// Clocks of sensors run ahead; by more than this they are wrong.
const AHEAD: Duration = Duration::from_secs(60);

/// Where a message says when it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeField {
    /// Where in the message.
    pub path: Path,
    /// The zone of times that name none.
    pub zone: UtcOffset,
}

impl TimeField {
    /// The message's time; `None` when it has none that can be understood, or one in the future.
    #[must_use]
    pub fn read(&self, document: &Json, now: Timestamp) -> Option<Timestamp> {
        let time = moment(self.path.find(document)?, self.zone)?;
        (time <= now + AHEAD).then(|| time.min(now))
    }
}

/// Unix seconds (or, when far too large for that, milliseconds) as number or text, RFC 3339, or
/// the same without a zone.
pub(super) fn moment(json: &Json, zone: UtcOffset) -> Option<Timestamp> {
    match json {
        Json::Number(number) => unix(number.as_f64()?),
        Json::String(text) => match text.parse::<f64>() {
            Ok(number) => unix(number),
            Err(_) => written(text, zone),
        },
        _ => None,
    }
}

fn unix(number: f64) -> Option<Timestamp> {
    // 1e8 s is 1973: less is a counter since the start of the device. 1e11 s is the year 5138.
    if !(1e8..1e14).contains(&number) {
        return None;
    }
    Some(Timestamp::from_seconds(if number < 1e11 { number } else { number / 1000.0 }))
}

fn written(text: &str, zone: UtcOffset) -> Option<Timestamp> {
    let with_zone = OffsetDateTime::parse(text, &Rfc3339);
    let moment = with_zone.ok().or_else(|| {
        let local = text.replacen(' ', "T", 1);
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]"
        );
        PrimitiveDateTime::parse(&local, format).ok().map(|local| local.assume_offset(zone))
    })?;
    let millis = moment.unix_timestamp_nanos() / 1_000_000;
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
}
