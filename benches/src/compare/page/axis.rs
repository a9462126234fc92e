/// An axis on which equal factors are equally far apart.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// The least and the most value on it.
    pub ends: (f64, f64),
    /// Where those are, in the units of the chart.
    pub places: (f64, f64),
}

impl Axis {
    /// From the mark below the least of `values` to the mark above the most, marks being powers of `step`; `None`
    /// without values.
    pub fn around(values: impl Iterator<Item = f64>, step: f64, places: (f64, f64)) -> Option<Self> {
        let values: Vec<f64> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let below = step.powf((least.log(step) + 1e-9).floor());
        let above = step.powf((most.log(step) - 1e-9).ceil());
        let above = if above <= below { below * step } else { above };
        Some(Axis { ends: (below, above), places })
    }

    /// Where `value` is.
    pub fn at(&self, value: f64) -> f64 {
        let ((least, most), (start, end)) = (self.ends, self.places);
        let share = (value.max(f64::MIN_POSITIVE) / least).ln() / (most / least).ln();
        start + share.clamp(0.0, 1.0) * (end - start)
    }

    /// The powers of `step` from end to end.
    pub fn marks(&self, step: f64) -> Vec<f64> {
        let exponent = |value: f64| value.log(step).round() as i32;
        (exponent(self.ends.0)..=exponent(self.ends.1)).map(|exponent| step.powi(exponent)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_marks() {
        let axis = Axis::around([3.0, 400.0].into_iter(), 10.0, (100.0, 400.0)).unwrap();
        assert_eq!(axis.marks(10.0), [1.0, 10.0, 100.0, 1000.0]);
        assert!((axis.at(10.0) - 200.0).abs() < 1e-6);
        assert_eq!((axis.at(0.0), axis.at(1e9)), (100.0, 400.0));
        let flat = Axis::around([1.0].into_iter(), 2.0, (0.0, 1.0)).unwrap();
        assert_eq!(flat.marks(2.0), [1.0, 2.0]);
        assert!(Axis::around([f64::NAN].into_iter(), 2.0, (0.0, 1.0)).is_none());
    }
}
