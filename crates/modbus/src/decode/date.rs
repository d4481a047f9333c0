//! Dates and times of day, as devices write them into registers.

use hallwatch_model::{Missing, Value};

use super::number::from_u64;

/// Most bytes of a date: eight registers.
const MOST: usize = 16;

/// What a byte of a date says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// Nothing.
    Skip,
    /// The year; one byte counts from 2000.
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Thousandths of a second within the minute.
    Milli,
}

/// How a date stands in its registers, byte by byte; the device's clock is taken to be UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateFormat {
    parts: [Part; MOST],
    registers: u16,
    /// Each byte is two decimal digits.
    bcd: bool,
    /// The bits beside the numbers mean something else (IEC 60870-5-4).
    masked: bool,
}

impl Default for DateFormat {
    /// Six bytes: year, month, day, hour, minute, second.
    fn default() -> Self {
        use Part::{Day, Hour, Minute, Month, Second, Skip, Year};
        let [a, b, c, d, e, f] = [Year, Month, Day, Hour, Minute, Second];
        let parts = [a, b, c, d, e, f, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip];
        Self { parts, registers: 3, bcd: false, masked: false }
    }
}

impl DateFormat {
    /// The format `text`: a letter for each byte, of `Y` (two for a year such as 2026, one for
    /// the years since 2000), `M`, `D`, `h`, `m`, `s`, `i` (two: milliseconds with the seconds)
    /// and `-` for a byte without meaning; with `bcd:` before it for two decimal digits in a
    /// byte; or `iec870` for the four registers of IEC 60870-5-4.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let masked = text == "iec870";
        let (bcd, letters) = match text.strip_prefix("bcd:") {
            Some(letters) => (true, letters),
            None => (false, if masked { "-YMDhmii" } else { text }),
        };
        let mut parts = [Part::Skip; MOST];
        let mut bytes: u16 = 0;
        for letter in letters.chars() {
            let part = match letter {
                '-' => Part::Skip,
                'Y' => Part::Year,
                'M' => Part::Month,
                'D' => Part::Day,
                'h' => Part::Hour,
                'm' => Part::Minute,
                's' => Part::Second,
                'i' => Part::Milli,
                _ => return Err("a date is of `YMDhmsi-`, such as `YMDhms`, or is `iec870`"),
            };
            *parts.get_mut(usize::from(bytes)).ok_or("a date has at most 16 bytes")? = part;
            bytes += 1;
        }
        let count = |wanted| parts.iter().filter(|part| **part == wanted).count();
        let whole = (1..=2).contains(&count(Part::Year))
            && count(Part::Month) == 1
            && count(Part::Day) == 1
            && [Part::Hour, Part::Minute, Part::Second].iter().all(|part| count(*part) <= 1)
            && matches!(count(Part::Milli), 0 | 2);
        if !whole || bytes % 2 == 1 {
            return Err("a date has `Y` or `YY`, one `M` and one `D`, in whole registers");
        }
        Ok(Self { parts, registers: bytes / 2, bcd, masked })
    }

    /// How many registers it takes.
    #[must_use]
    pub const fn registers(self) -> u16 {
        self.registers
    }

    /// Seconds since 1970.
    pub(super) fn seconds(self, bytes: impl Iterator<Item = u8>) -> Value {
        let mut date = Date::default();
        let (mut any, mut years) = (false, 0);
        for (byte, part) in bytes.zip(self.parts) {
            any |= byte != 0 && part != Part::Skip;
            let number = self.number(byte, part)?;
            let place = match part {
                Part::Skip => continue,
                Part::Year => &mut date.year,
                Part::Month => &mut date.month,
                Part::Day => &mut date.day,
                Part::Hour => &mut date.hour,
                Part::Minute => &mut date.minute,
                Part::Second => &mut date.second,
                Part::Milli => &mut date.milli,
            };
            years += u32::from(part == Part::Year);
            *place = *place * if self.bcd { 100 } else { 256 } + number;
        }
        if !any {
            return Err(Missing::NotAvailable);
        }
        if years == 1 {
            date.year += 2000;
        }
        date.seconds().ok_or(Missing::Malformed)
    }

    fn number(self, byte: u8, part: Part) -> Result<u64, Missing> {
        if self.bcd {
            let (high, low) = (byte >> 4, byte & 0xf);
            let decimal = part == Part::Skip || (high <= 9 && low <= 9);
            return if decimal {
                Ok(u64::from(high) * 10 + u64::from(low))
            } else {
                Err(Missing::Malformed)
            };
        }
        if !self.masked {
            return Ok(u64::from(byte));
        }
        // The highest bit beside the minute says that the time is invalid.
        if part == Part::Minute && byte & 0x80 != 0 {
            return Err(Missing::NotAvailable);
        }
        Ok(u64::from(match part {
            Part::Year => byte & 0x7f,
            Part::Month => byte & 0x0f,
            Part::Day | Part::Hour => byte & 0x1f,
            Part::Minute => byte & 0x3f,
            _ => byte,
        }))
    }
}

#[derive(Default)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    /// Up to a whole minute.
    milli: u64,
}

impl Date {
    /// Seconds since 1970, for the years 1970 to 9999 of the Gregorian calendar.
    fn seconds(&self) -> Option<f64> {
        let leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let february = if leap(self.year) { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let month = usize::try_from(self.month).ok()?.checked_sub(1)?;
        let possible = (1970..=9999).contains(&self.year)
            && (1..=*months.get(month)?).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.milli < 60_000;
        if !possible {
            return None;
        }
        let past = self.year - 1;
        let leaps = |year: u64| year / 4 - year / 100 + year / 400;
        let days = (self.year - 1970) * 365 + leaps(past) - leaps(1969)
            + months.iter().take(month).sum::<u64>()
            + self.day
            - 1;
        let whole = ((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second;
        Some(from_u64(whole) + from_u64(self.milli) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(format: &str, bytes: &[u8]) -> Value {
        DateFormat::new(format).unwrap().seconds(bytes.iter().copied())
    }

    #[test]
    fn every_format() {
        // 1 000 000 000 s after 1970 it was 2001-09-09 01:46:40; 2024-02-29 12:00:00 was
        // 1 709 208 000 s after, 2000-03-01 951 868 800 s.
        let cases: [(&str, &[u8], Value); 16] = [
            ("YMDhms", &[1, 9, 9, 1, 46, 40], Ok(1e9)),
            ("YYMDhm", &[0x07, 0xe8, 2, 29, 12, 0], Ok(1_709_208_000.0)),
            ("YY-M-D", &[0x07, 0xd0, 0, 3, 0, 1], Ok(951_868_800.0)),
            ("YY-M-D", &[0x07, 0xd0, 9, 3, 9, 1], Ok(951_868_800.0)),
            ("DMYYhm", &[29, 2, 0x07, 0xe8, 12, 0], Ok(1_709_208_000.0)),
            ("bcd:YMDhms", &[0x01, 0x09, 0x09, 0x01, 0x46, 0x40], Ok(1e9)),
            ("bcd:YYMDhms-", &[0x20, 0x01, 0x09, 0x09, 0x01, 0x46, 0x40, 0xff], Ok(1e9)),
            // Weekday 7 beside the day, summer time beside the hour; 40 250 ms.
            ("iec870", &[0, 1, 9, 0xe9, 0x81, 46, 0x9d, 0x3a], Ok(1_000_000_000.25)),
            ("iec870", &[0, 1, 9, 9, 1, 0xae, 0x9d, 0x3a], Err(Missing::NotAvailable)),
            ("YMDhms", &[0; 6], Err(Missing::NotAvailable)),
            ("YMDhms", &[23, 2, 29, 0, 0, 0], Err(Missing::Malformed)),
            ("YMDhms", &[23, 13, 1, 0, 0, 0], Err(Missing::Malformed)),
            ("YMDhms", &[23, 0, 1, 0, 0, 0], Err(Missing::Malformed)),
            ("YMDhms", &[23, 1, 1, 24, 0, 0], Err(Missing::Malformed)),
            ("YMDhms", &[0xff; 6], Err(Missing::Malformed)),
            ("bcd:YMDhms", &[0x1a, 1, 1, 0, 0, 0], Err(Missing::Malformed)),
        ];
        for (format, bytes, expected) in cases {
            assert_eq!(seconds(format, bytes), expected, "{format} {bytes:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in
            ["", "YM", "YMD", "YYYMDh", "YMDx", "hm", "YMDhmshm", "YMDi", "YYMDhms----------"]
        {
            assert!(DateFormat::new(text).is_err(), "{text}");
        }
        assert_eq!(DateFormat::new("YMDhms"), Ok(DateFormat::default()));
        assert_eq!(DateFormat::default().registers(), 3);
        assert_eq!(DateFormat::new("iec870").unwrap().registers(), 4);
    }
}
