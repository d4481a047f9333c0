//! The numbers of series: none is ever given twice. What stands under a number on disk may be there
//! long after its series is gone, and a deletion goes on after a restart.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::bytes::{checksum, key, unseal};
use super::record::{read_ids, read_labels, read_points, sum_entry};
use super::schema::is_damage;
use super::summaries;

/// Where a store is damaged that does not say which numbers it gave, so many are passed over: what
/// cannot be read may have some of them.
const PASSED_OVER: u32 = 1 << 16;

/// Notes the highest number that was given, in the transaction that gives it.
pub(super) fn note_given(connection: &Connection, highest: u32) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('series_given', ?1)")?
        .execute([sealed(highest)])?;
    Ok(())
}

/// The highest number that was given; `None` when nothing says so, or it is damaged.
pub(super) fn given(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let query = "SELECT value FROM meta WHERE key = 'series_given'";
    match connection.query_row(query, [], |row| row.get(0)).optional() {
        Err(error) if is_damage(&error) => Ok(None),
        read => Ok(read?.and_then(unsealed)),
    }
}

/// The number, and its checksum above it.
fn sealed(number: u32) -> i64 {
    let sum = u64::from(checksum(&number.to_le_bytes(), 0));
    (sum << 32 | u64::from(number)).cast_signed()
}

fn unsealed(value: i64) -> Option<u32> {
    let [a, b, c, d, ..] = value.to_le_bytes();
    let number = u32::from_le_bytes([a, b, c, d]);
    (sealed(number) == value).then_some(number)
}

/// The highest number that stands anywhere in a store that does not say which it gave: an earlier
/// version wrote it, or it is damaged. Some are added when it is, or was `damaged` before.
pub(super) fn sought(connection: &Connection, damaged: bool) -> rusqlite::Result<u32> {
    let mut search = Search { connection, highest: 0, damaged };
    search.everywhere()?;
    Ok(match search.damaged {
        true => search.highest.saturating_add(PASSED_OVER),
        false => search.highest,
    })
}

struct Search<'a> {
    connection: &'a Connection,
    highest: u32,
    damaged: bool,
}

/// How much of a query is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    /// Its rows come by number, the highest first: up to the first that is whole.
    First,
}

impl Search<'_> {
    fn everywhere(&mut self) -> rusqlite::Result<()> {
        let query = "SELECT id, labels FROM series ORDER BY id DESC";
        self.look(query, [], Read::First, |row| {
            let id = row.get(0)?;
            Ok(read_labels(id, row.get_ref(1)?.as_bytes().unwrap_or_default()).map(|_| id))
        })?;
        self.dictionaries()?;
        let last = |ids: Vec<u32>| ids.last().copied().unwrap_or(0);
        self.scan("series FROM deletion", "id", |row| {
            let series = row.get_ref(0)?.as_bytes().unwrap_or_default();
            // It is empty when the deletion is done.
            Ok(if series.is_empty() { Some(0) } else { read_ids(0, series).map(last) })
        })?;
        self.scan("window, series FROM window", "window", |row| {
            let series = row.get_ref(1)?.as_bytes().unwrap_or_default();
            Ok(read_ids(row.get(0)?, series).map(last))
        })?;
        self.chunks()?;
        self.summaries()?;
        self.scan("data FROM log", "id", |row| {
            let points = read_points(row.get_ref(0)?.as_bytes().unwrap_or_default());
            Ok(points.map(|points| points.iter().map(|point| point.series).max().unwrap_or(0)))
        })
    }

    fn dictionaries(&mut self) -> rusqlite::Result<()> {
        let columns = "agent, dictionary, id, series, sum FROM dictionary";
        self.scan(columns, "agent, dictionary, id", |row| {
            let (agent, dictionary): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (id, series, sum): (u32, u32, u32) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let whole = sum == sum_entry(agent, dictionary.cast_unsigned(), id, series);
            Ok(whole.then_some(series))
        })
    }

    /// Also those of windows whose row is damaged. A look for each window, not at each chunk.
    fn chunks(&mut self) -> rusqlite::Result<()> {
        let mut after = i64::MIN;
        loop {
            let next = self.connection.query_row(
                "SELECT min(window) FROM chunk WHERE window > ?1",
                [after],
                |row| row.get::<_, Option<i64>>(0),
            );
            let window = match next {
                Ok(Some(window)) => window,
                Ok(None) => return Ok(()),
                Err(error) => return self.note(error),
            };
            let query = "SELECT series, data FROM chunk WHERE window = ?1 ORDER BY series DESC";
            self.look(query, [window], Read::First, |row| {
                let series: u32 = row.get(0)?;
                let data = row.get_ref(1)?.as_bytes().unwrap_or_default();
                Ok(unseal(data, key(window, i64::from(series))).map(|_| series))
            })?;
            after = window;
        }
    }

    fn summaries(&mut self) -> rusqlite::Result<()> {
        let mut days: Vec<(i64, i64)> = Vec::new();
        self.scan("resolution, day, series FROM rolled", "resolution, day", |row| {
            let (resolution, day) = (row.get(0)?, row.get(1)?);
            days.push((resolution, day));
            let series = row.get_ref(2)?.as_bytes().unwrap_or_default();
            Ok(read_ids(day, series).map(|ids| ids.last().copied().unwrap_or(0)))
        })?;
        let query = "SELECT series, data FROM rollup WHERE resolution = ?1 AND day = ?2 \
                     ORDER BY series DESC";
        for (resolution, day) in days {
            self.look(query, params![resolution, day], Read::First, |row| {
                let series = row.get(0)?;
                let data = row.get_ref(1)?.as_bytes().unwrap_or_default();
                Ok(summaries::read(resolution, day, series, data).map(|_| series))
            })?;
        }
        Ok(())
    }

    /// All of a table, from its other end too when it is damaged.
    fn scan(
        &mut self,
        what: &str,
        key: &str,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<u32>>,
    ) -> rusqlite::Result<()> {
        let before = std::mem::take(&mut self.damaged);
        self.look(&format!("SELECT {what} ORDER BY {key}"), [], Read::All, &mut each)?;
        if self.damaged {
            let descending = key.replace(',', " DESC,") + " DESC";
            self.look(&format!("SELECT {what} ORDER BY {descending}"), [], Read::All, each)?;
        }
        self.damaged |= before;
        Ok(())
    }

    /// Takes the number that `each` finds in a row; `None` says that the row is damaged.
    fn look(
        &mut self,
        query: &str,
        params: impl Params,
        read: Read,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<u32>>,
    ) -> rusqlite::Result<()> {
        let mut statement = match self.connection.prepare(query) {
            Ok(statement) => statement,
            Err(error) => return self.note(error),
        };
        let mut rows = statement.query(params)?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(error) => return self.note(error),
            };
            match each(row) {
                Ok(Some(number)) => {
                    self.highest = self.highest.max(number);
                    if read == Read::First {
                        return Ok(());
                    }
                }
                Ok(None) => self.damaged = true,
                Err(error) => self.note(error)?,
            }
        }
    }

    fn note(&mut self, error: rusqlite::Error) -> rusqlite::Result<()> {
        self.damaged |= is_damage(&error);
        if is_damage(&error) { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Labels;
    use hallwatch_promql::functions::summary::summarise;

    use super::super::bytes::seal;
    use super::super::record::{Point, write_ids, write_labels, write_points};
    use super::super::{codec, schema};
    use super::*;

    #[test]
    fn what_was_given_is_known_or_is_known_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let connection = schema::open(&dir.path().join(schema::FILE)).unwrap();
        assert_eq!(given(&connection).unwrap(), None);
        for number in [1, 77, u32::MAX] {
            note_given(&connection, number).unwrap();
            assert_eq!(given(&connection).unwrap(), Some(number));
        }
        for bit in 0..64 {
            note_given(&connection, 77).unwrap();
            let value = sealed(77) ^ (1 << bit);
            connection.execute("UPDATE meta SET value = ?1", [value]).unwrap();
            assert_eq!(given(&connection).unwrap(), None, "bit {bit}");
        }
        connection.execute("UPDATE meta SET value = 'seventy-seven'", []).unwrap();
        assert_eq!(given(&connection).unwrap(), None);
        connection.execute("DROP TABLE meta", []).unwrap();
        assert_eq!(given(&connection).unwrap(), None);
    }

    /// What writes one row in which the series 77 is the highest; whole, or damaged.
    type Writes = fn(&Connection, bool) -> rusqlite::Result<usize>;

    fn spoilt(mut blob: Vec<u8>, whole: bool) -> Vec<u8> {
        if let Some(last) = blob.last_mut().filter(|_| !whole) {
            *last ^= 1;
        }
        blob
    }

    #[test]
    fn every_place_in_which_a_number_stands_is_looked_at() {
        let cases: [(&str, Writes); 8] = [
            ("series", |c, whole| {
                let labels = spoilt(write_labels(77, &Labels::metric("up", [("a", "b")])), whole);
                c.execute("INSERT INTO series VALUES (77, ?1)", [labels])
            }),
            ("dictionary", |c, whole| {
                let sum = sum_entry(1, 2, 3, 77) ^ u32::from(!whole);
                c.execute("INSERT INTO dictionary VALUES (1, 2, 3, 77, ?1)", [sum])
            }),
            ("deletion", |c, whole| {
                let series = spoilt(write_ids(0, &[5, 77]), whole);
                let insert = "INSERT INTO deletion (requested, start, end, upto, series, count) \
                              VALUES (0, 0, 0, 0, ?1, 2)";
                c.execute(insert, [series])
            }),
            ("window", |c, whole| {
                let series = spoilt(write_ids(9, &[5, 77]), whole);
                c.execute("INSERT INTO window VALUES (9, 0, 0, 0, ?1)", [series])
            }),
            ("chunk", |c, whole| {
                let data = spoilt(seal(codec::encode(&[1], &[1.0]), key(9, 77)), whole);
                c.execute("INSERT INTO chunk VALUES (9, 77, 0, ?1)", [data])
            }),
            ("rolled", |c, whole| {
                let series = spoilt(write_ids(4, &[5, 77]), whole);
                c.execute("INSERT INTO rolled VALUES (60000, 4, 1, 0, ?1)", [series])
            }),
            ("rollup", |c, whole| {
                let summaries = summarise(&[1], &[1.0], 60_000);
                let data = spoilt(summaries::write(60_000, 4, 77, &summaries), whole);
                c.execute("INSERT INTO rolled VALUES (60000, 4, 1, 0, ?1)", [write_ids(4, &[5])])?;
                c.execute("INSERT INTO rollup VALUES (60000, 4, 77, ?1)", [data])
            }),
            ("log", |c, whole| {
                let points = [77, 5].map(|series| Point { series, time: 1, value: 1.0 });
                let data = spoilt(write_points(&points, false), whole);
                c.execute("INSERT INTO log (agent, received, data) VALUES (1, 0, ?1)", [data])
            }),
        ];
        for (name, write) in cases {
            let dir = tempfile::tempdir().unwrap();
            let connection = schema::open(&dir.path().join(schema::FILE)).unwrap();
            assert_eq!(sought(&connection, false).unwrap(), 0);
            assert_eq!(sought(&connection, true).unwrap(), PASSED_OVER);
            write(&connection, true).unwrap();
            assert_eq!(sought(&connection, false).unwrap(), 77, "{name}");
            let dir = tempfile::tempdir().unwrap();
            let connection = schema::open(&dir.path().join(schema::FILE)).unwrap();
            write(&connection, false).unwrap();
            let damaged = sought(&connection, false).unwrap();
            assert!((PASSED_OVER..PASSED_OVER + 77).contains(&damaged), "{name}: {damaged}");
            connection.execute_batch("DROP TABLE log; DROP TABLE meta").unwrap();
            assert!(sought(&connection, false).unwrap() >= PASSED_OVER, "{name}");
        }
    }
}
