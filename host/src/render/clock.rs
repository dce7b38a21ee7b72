//! Times of day, many in one second.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Writes times in a zone. What is the same for all times of a second is made once for each.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// How a time is written as far as its second, and what stands behind its fraction.
    formats: (&'static str, &'static str),
    /// The second that `before` and `behind` are of.
    second: Option<i64>,
    before: String,
    behind: String,
}

impl Clock {
    pub(super) fn new(zone: TimeZone, before: &'static str, behind: &'static str) -> Self {
        Self { zone, formats: (before, behind), second: None, before: String::new(), behind: String::new() }
    }

    /// Appends a time with so many digits of the second's fraction, up to 9. A time that no calendar has is the start of
    /// 1970.
    pub(super) fn write(&mut self, time: SystemTime, digits: usize, into: &mut String) {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        // Rounded down also before 1970.
        let nanoseconds = time.as_nanosecond();
        let second = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(0);
        if self.second != Some(second) {
            let whole = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
            self.before = whole.strftime(self.formats.0).to_string();
            self.behind = whole.strftime(self.formats.1).to_string();
            self.second = Some(second);
        }
        into.push_str(&self.before);
        if digits > 0 {
            into.push('.');
            let mut fraction = nanoseconds.rem_euclid(1_000_000_000);
            let mut place = 100_000_000;
            for _ in 0..digits.min(9) {
                let digit = u8::try_from(fraction / place).unwrap_or(0);
                into.push(char::from(b'0' + digit));
                fraction %= place;
                place = (place / 10).max(1);
            }
        }
        into.push_str(&self.behind);
    }
}
