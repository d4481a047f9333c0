//! Times on disk: points of a device that were read together have them in common, once for all.

use rusqlite::{Connection, Rows, Statement, params};

use super::bytes::{key, seal, unseal};
use super::codec::{self, Placed};

/// Times that are shorter than this many bytes stand within each chunk.
const COMMON_LEAST: usize = 16;

/// The times of the series before, for those that were read together with it.
#[derive(Default)]
pub(super) struct Common {
    times: Vec<i64>,
    /// Their number.
    at: u32,
    /// How many series use them; they are on disk from the first on.
    uses: i64,
    /// Bytes written for them.
    pub(super) bytes: u64,
}

impl Common {
    /// The chunk of one series, and the times beside it where they are worth it.
    pub(super) fn compress(
        &mut self,
        connection: &Connection,
        window: i64,
        id: u32,
        times: &[i64],
        values: &[f64],
    ) -> rusqlite::Result<Vec<u8>> {
        if self.uses > 0 && self.times == times {
            self.uses += 1;
            connection
                .prepare_cached("UPDATE time SET uses = ?3 WHERE window = ?1 AND id = ?2")?
                .execute(params![window, self.at, self.uses])?;
            return Ok(codec::compress_values(self.at, values));
        }
        let column = codec::compress_times(times);
        // Another chunk may use times of this number still, from before the merge.
        let taken = connection
            .prepare_cached("SELECT 1 FROM time WHERE window = ?1 AND id = ?2")?
            .exists(params![window, id])?;
        if column.len() < COMMON_LEAST || taken {
            return Ok(codec::compress(times, values));
        }
        let data = seal(column, times_key(window, id));
        self.bytes += data.len() as u64;
        connection
            .prepare_cached("INSERT INTO time (window, id, uses, data) VALUES (?1, ?2, 1, ?3)")?
            .execute(params![window, id, data])?;
        (self.at, self.uses) = (id, 1);
        self.times.clear();
        self.times.extend_from_slice(times);
        Ok(codec::compress_values(id, values))
    }
}

fn times_key(window: i64, id: u32) -> u64 {
    key(window, i64::from(id)).rotate_left(16)
}

/// Times that stand beside the chunks of a window; `None` when they are damaged.
pub(super) fn read_times(connection: &Connection, window: i64, id: u32) -> Option<Vec<i64>> {
    let mut select = connection.prepare_cached(LOOK_UP_TIMES).ok()?;
    look_up(&mut select, window, id, codec::decode_times)
}

/// What looks times up that stand beside chunks, and what goes through them.
pub(super) const LOOK_UP_TIMES: &str = "SELECT data FROM time WHERE window = ?1 AND id = ?2";
pub(super) const SCAN_TIMES: &str =
    "SELECT id, data FROM time WHERE window = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id";

fn look_up<T>(
    select: &mut Statement<'_>,
    window: i64,
    id: u32,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    let decoded = select.query_row(params![window, id], |row| {
        let data = row.get_ref(0)?.as_bytes()?;
        Ok(unseal(data, times_key(window, id)).and_then(decode))
    });
    decoded.ok().flatten()
}

/// Times beside the chunks of a window, for who reads those of many series in their order: to go on
/// to the next ones costs less than to look each up.
pub(super) struct Beside<'s, 'c> {
    window: i64,
    /// Those that are likely to be asked for, and which of them was reached.
    rows: Option<Rows<'s>>,
    reached: u32,
    look_up: &'s mut Statement<'c>,
}

impl<'s, 'c> Beside<'s, 'c> {
    /// With statements of [`SCAN_TIMES`], unless too few are asked for, and [`LOOK_UP_TIMES`].
    pub(super) fn new(
        window: i64,
        scan: Option<(&'s mut Statement<'c>, u32, u32)>,
        look_up: &'s mut Statement<'c>,
    ) -> rusqlite::Result<Self> {
        let query = |(scan, first, last): (&'s mut Statement<'c>, u32, u32)| {
            scan.query(params![window, first, last])
        };
        Ok(Self { window, rows: scan.map(query).transpose()?, reached: 0, look_up })
    }

    /// Appends those under a number that are within `span`, both ends included.
    pub(super) fn read(
        &mut self,
        id: u32,
        span: (i64, i64),
        times: &mut Vec<i64>,
    ) -> Option<Placed> {
        let window = self.window;
        while self.reached < id
            && let Some(rows) = &mut self.rows
        {
            let Ok(Some(row)) = rows.next() else {
                self.rows = None;
                break;
            };
            self.reached = row.get(0).ok()?;
            if self.reached == id {
                let data = unseal(row.get_ref(1).ok()?.as_bytes().ok()?, times_key(window, id))?;
                return codec::decode_times_between(data, span, times);
            }
        }
        look_up(self.look_up, window, id, |data| codec::decode_times_between(data, span, times))
    }
}

/// One chunk less uses these times.
pub(super) fn release_times(
    connection: &Connection,
    window: i64,
    id: Option<u32>,
) -> rusqlite::Result<()> {
    let Some(id) = id else { return Ok(()) };
    connection
        .prepare_cached("UPDATE time SET uses = uses - 1 WHERE window = ?1 AND id = ?2")?
        .execute(params![window, id])?;
    connection
        .prepare_cached("DELETE FROM time WHERE window = ?1 AND id = ?2 AND uses <= 0")?
        .execute(params![window, id])?;
    Ok(())
}
