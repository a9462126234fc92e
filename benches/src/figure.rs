use crate::measure::Spread;
use anyhow::Result;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations per second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Mebibytes.
    Mebibytes,
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
}

/// What was measured of one side.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The rounds.
    pub spread: Spread,
    /// What they count.
    pub unit: Unit,
}

impl Figure {
    /// `count` operations that took `seconds`, round by round.
    pub fn rate(count: usize, seconds: &[f64]) -> Result<Self> {
        let spread = Spread::map(seconds, |seconds| count as f64 / seconds)?;
        Ok(Figure { spread, unit: Unit::PerSecond })
    }

    /// Something that took `seconds`, round by round.
    pub fn time(seconds: &[f64]) -> Result<Self> {
        let spread = Spread::map(seconds, |seconds| seconds * 1e3)?;
        Ok(Figure { spread, unit: Unit::Milliseconds })
    }

    /// Each of `count` operations that took `seconds` together, round by round.
    pub fn each(count: usize, seconds: &[f64]) -> Result<Self> {
        let spread = Spread::map(seconds, |seconds| seconds * 1e9 / count as f64)?;
        Ok(Figure { spread, unit: Unit::Nanoseconds })
    }

    /// Something small, of this many bytes.
    pub fn size(bytes: f64) -> Result<Self> {
        Ok(Figure { spread: Spread::of(vec![bytes])?, unit: Unit::Bytes })
    }

    /// Something of this many bytes.
    pub fn bytes(bytes: f64) -> Result<Self> {
        Ok(Figure { spread: Spread::of(vec![bytes / 1_048_576.0])?, unit: Unit::Mebibytes })
    }

    /// The middle, as tables show it.
    pub fn show(&self) -> String {
        show(self.spread.median, self.unit)
    }
}

/// `value` with its unit, rounded to what it is worth.
pub fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", grouped(value.round().max(0.0) as u64)),
        Unit::Milliseconds => format!("{} ms", rounded(value)),
        Unit::Mebibytes => format!("{} MiB", rounded(value)),
        Unit::Nanoseconds => format!("{} ns", rounded(value)),
        Unit::Bytes => format!("{} bytes", rounded(value)),
    }
}

/// Three digits, as ratios and times are shown.
pub fn rounded(value: f64) -> String {
    match value {
        value if value >= 100.0 => grouped(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A number with commas between its thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(rounded(0.714), "0.71");
        assert_eq!(rounded(12.34), "12.3");
        assert_eq!(rounded(1234.4), "1,234");
        assert_eq!(show(1999.6, Unit::PerSecond), "2,000/s");
    }
}
