//! Dates in UTC.

/// The function with this PromQL name, from seconds since the epoch.
#[must_use]
pub fn named(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |seconds| count(whole(seconds).rem_euclid(3600) / 60),
        "hour" => |seconds| count(whole(seconds).rem_euclid(86_400) / 3600),
        // The epoch was a Thursday.
        "day_of_week" => |seconds| count((days(seconds) + 4).rem_euclid(7)),
        "day_of_month" => |seconds| count(Date::of(seconds).day),
        "day_of_year" => |seconds| count(Date::of(seconds).day_of_year()),
        "days_in_month" => |seconds| count(Date::of(seconds).days_in_month()),
        "month" => |seconds| count(Date::of(seconds).month),
        "year" => |seconds| count(Date::of(seconds).year),
        _ => return None,
    })
}

/// What no integer holds (NaN too) is a fixed time far in the future: what Go makes of it on amd64.
#[expect(clippy::cast_possible_truncation, reason = "in range")]
fn whole(seconds: f64) -> i128 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&seconds) { seconds as i128 } else { 1 << 63 }
}

#[expect(clippy::cast_precision_loss, reason = "parts of a date are small")]
fn count(part: i128) -> f64 {
    part as f64
}

fn days(seconds: f64) -> i128 {
    whole(seconds).div_euclid(86_400)
}

struct Date {
    year: i128,
    /// From 1.
    month: i128,
    /// From 1.
    day: i128,
}

impl Date {
    /// The proleptic Gregorian calendar, counted in years that start in March, so that the leap day
    /// is the last of its year.
    fn of(seconds: f64) -> Self {
        let since_march_of_year_0 = days(seconds) + 719_468;
        let era = since_march_of_year_0.div_euclid(146_097);
        let day_of_era = since_march_of_year_0.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i128::from(month <= 2);
        Self { year, month, day }
    }

    fn days_in_month(&self) -> i128 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.is_leap() => 29,
            2 => 28,
            _ => 31,
        }
    }

    fn is_leap(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn day_of_year(&self) -> i128 {
        (1..self.month)
            .map(|month| Self { year: self.year, month, day: 1 }.days_in_month())
            .sum::<i128>()
            + self.day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn know_leap_years_and_the_time_before_the_epoch() {
        let at = |name, seconds| named(name).map(|f| f(seconds)).unwrap();
        assert_eq!(
            [at("year", -1.0), at("month", -1.0), at("day_of_month", -1.0)],
            [1969.0, 12.0, 31.0]
        );
        assert_eq!(at("day_of_week", -1.0), 3.0);
        assert_eq!(at("day_of_year", 1_483_191_420.0), 366.0);
        assert_eq!(at("days_in_month", 951_782_400.0), 29.0);
        assert_eq!([at("hour", f64::NAN), at("day_of_month", f64::NAN)], [15.0, 4.0]);
        assert!(at("year", f64::INFINITY).is_finite());
    }
}
