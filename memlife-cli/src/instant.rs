//! Instants as people write and read them.

use memlife::Timestamp;

/// Reads an instant: RFC 3339, or seconds since 1970, which may have a fraction.
///
/// # Errors
/// In words, for anything else.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let ms = if is_number { seconds(text) } else { rfc_3339(text) };
    ms.map(Timestamp::from_ms).ok_or_else(|| {
        format!("{text:?} is no instant: write one such as 2030-01-31T12:00:00Z, or seconds since 1970")
    })
}

fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.contains('.') {
        return None;
    }
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let at = whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(ms)?;
    // What cannot be shown as a date is no instant that anybody means.
    to_jiff(Timestamp::from_ms(at)).map(|_| at)
}

fn rfc_3339(text: &str) -> Option<u64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

/// `at` as RFC 3339 in UTC, or as milliseconds where it lies past the year 9999.
pub fn show(at: Timestamp) -> String {
    to_jiff(at).map_or_else(|| format!("{} ms", at.ms()), |at| at.to_string())
}

/// `at` in seconds since 1970.
#[allow(clippy::cast_precision_loss, reason = "doubles are exact to the microsecond for centuries")]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.ms() as f64 / 1_000.0
}

fn to_jiff(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.ms()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_and_seconds() {
        for (text, ms) in [
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1795348339", 1_795_348_339_000),
            ("1795348339.334787", 1_795_348_339_334),
            ("0.5", 500),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap().ms(), ms, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in
            ["", ".", "1.2.3", "-1", "1e9", "NaN", "tomorrow", "1969-12-31T23:59:59Z", "99999999999999999999"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        assert_eq!(show(parse("2030-01-31T12:00:00.25Z").unwrap()), "2030-01-31T12:00:00.25Z");
        assert_eq!(show(Timestamp::MAX), format!("{} ms", Timestamp::MAX.ms()));
    }
}
