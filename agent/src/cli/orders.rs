//! The four orders of words and bytes side by side: which of them makes sense shows at a glance.

use hallwatch_agent::profile::Inspected;
use hallwatch_modbus::Conversion;
use hallwatch_modbus::decode::{Adjust, ByteOrder, Kind, WordOrder};
use serde_json::{Map, Value as Json, json};

use super::screen::Style;
use super::show;
use super::table::{Cell, Table};

/// The orders, with the letters that manuals have for them: `AB` is the first register on the
/// wire's high and low byte, when the number is ABCD.
const ORDERS: [(&str, WordOrder, ByteOrder); 4] = [
    ("ABCD", WordOrder::HighFirst, ByteOrder::HighFirst),
    ("CDAB", WordOrder::LowFirst, ByteOrder::HighFirst),
    ("BADC", WordOrder::HighFirst, ByteOrder::LowFirst),
    ("DCBA", WordOrder::LowFirst, ByteOrder::LowFirst),
];

/// A table of all points in all orders; that of the profile is marked.
pub(crate) fn table(points: &[Inspected<'_>]) -> Table {
    let mut table = Table::new(["POINT", "RAW", "ABCD", "CDAB", "BADC", "DCBA"]);
    for point in points {
        let mut cells = vec![Cell::new(point.info.name), Cell::new(show::raw(point))];
        for (_, words, bytes) in ORDERS {
            let own = point.info.conversion;
            let is_own = own.bytes == bytes && (own.words == words || is_short(own.kind));
            let text = decoded(point, words, bytes).unwrap_or_default();
            cells.push(if is_own && !text.is_empty() {
                Cell::styled(format!("{text}*"), Style::Good)
            } else {
                Cell::new(text)
            });
        }
        table.row(cells);
        if let Err(missing) = point.raw {
            table.note(Cell::styled(missing.to_string(), Style::Bad));
        }
    }
    table
}

/// All orders of a point for programs.
pub(crate) fn json(point: &Inspected<'_>) -> Json {
    let orders = ORDERS.iter().filter_map(|(name, words, bytes)| {
        decoded(point, *words, *bytes).map(|text| ((*name).to_owned(), json!(text)))
    });
    Json::Object(orders.collect::<Map<_, _>>())
}

/// One register has no order of words.
const fn is_short(kind: Kind) -> bool {
    kind.width() == 1
}

/// The point in another order, whether that is plausible or not; none where there is no such
/// order, or nothing was read.
fn decoded(point: &Inspected<'_>, words: WordOrder, bytes: ByteOrder) -> Option<String> {
    let raw = point.raw.as_deref().ok()?;
    let own = point.info.conversion;
    let kind = own.kind;
    if matches!(kind, Kind::Bool | Kind::Words { .. })
        || is_short(kind) && words != WordOrder::HighFirst
    {
        return None;
    }
    let conversion = Conversion {
        words,
        bytes,
        not_available: Vec::new(),
        out_of_range: Vec::new(),
        means: Vec::new(),
        min: f64::NEG_INFINITY,
        max: f64::INFINITY,
        ..own.clone()
    };
    if let Kind::Text { .. } = kind {
        return Some(format!("\"{}\"", conversion.text(raw)));
    }
    Some(match conversion.checked(raw, Adjust::default()) {
        Ok(value) => show::number(value),
        Err(_) => "-".into(),
    })
}
