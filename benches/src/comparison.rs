use crate::figure::{Figure, Unit, rounded, show};
use crate::measure::{Duel, Spread};
use crate::report::{Section, Verdict};
use anyhow::Result;

/// The columns of a section of comparisons.
const COLUMNS: [&str; 6] = ["what", "memlife", "beside", "ratio (least to most)", "target", "met"];

/// What the middle of the rounds must be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(bound) => value >= bound,
            Target::AtMost(bound) => value <= bound,
        }
    }

    fn show(self, number: impl Fn(f64) -> String) -> String {
        match self {
            Target::AtLeast(bound) => format!("at least {}", number(bound)),
            Target::AtMost(bound) => format!("at most {}", number(bound)),
        }
    }
}

/// Rows that set ours beside a peer's, or beside a bound.
#[derive(Debug)]
pub struct Comparisons(Section);

impl Comparisons {
    /// None yet.
    pub fn new(title: &str, about: &[&str]) -> Self {
        Comparisons(Section::new(title, about, &COLUMNS))
    }

    /// `count` operations of each side; the ratio is how many times as fast we are.
    pub fn speed(&mut self, what: &str, count: usize, duel: &Duel, target: Option<Target>) -> Result<()> {
        let (ours, peer) = (Figure::rate(count, &duel.ours)?, Figure::rate(count, &duel.peer)?);
        self.ratio(what, ours, peer, duel.speed()?, target);
        Ok(())
    }

    /// `count` short operations of each side, as the time of one; the ratio is how many times as fast we are.
    pub fn each(&mut self, what: &str, count: usize, duel: &Duel, target: Option<Target>) -> Result<()> {
        let (ours, peer) = (Figure::each(count, &duel.ours)?, Figure::each(count, &duel.peer)?);
        self.ratio(what, ours, peer, duel.speed()?, target);
        Ok(())
    }

    /// One long operation of each side; the ratio is how many times as long we take.
    pub fn time(&mut self, what: &str, duel: &Duel, target: Option<Target>) -> Result<()> {
        let (ours, peer) = (Figure::time(&duel.ours)?, Figure::time(&duel.peer)?);
        self.ratio(what, ours, peer, duel.time()?, target);
        Ok(())
    }

    /// Both sides and what they make together.
    pub fn ratio(&mut self, what: &str, ours: Figure, peer: Figure, ratio: Spread, target: Option<Target>) {
        let shown = format!("{} ({} to {})", rounded(ratio.median), rounded(ratio.min), rounded(ratio.max));
        self.push(what, [ours.show(), peer.show(), shown], ratio.median, target, rounded);
    }

    /// Ours alone; a target is for the figure itself.
    pub fn alone(&mut self, what: &str, ours: Figure, target: Option<Target>) {
        let number = |bound| match ours.unit {
            Unit::PerSecond => show(bound, Unit::PerSecond),
            unit => show(bound, unit).replace(".0 ", " "),
        };
        let Spread { min, max, .. } = ours.spread;
        let range = format!("{} to {}", show(min, ours.unit), show(max, ours.unit));
        let range = if min == max { String::new() } else { range };
        self.push(what, [ours.show(), String::new(), range], ours.spread.median, target, number);
    }

    fn push(
        &mut self,
        what: &str,
        cells: [String; 3],
        value: f64,
        target: Option<Target>,
        number: impl Fn(f64) -> String,
    ) {
        let [ours, peer, ratio] = cells;
        let verdict = target.map(|target| if target.is_met(value) { Verdict::Met } else { Verdict::Missed });
        let met = verdict.map_or("", Verdict::word).to_owned();
        let target = target.map(|target| target.show(number)).unwrap_or_default();
        self.0.push(vec![what.to_owned(), ours, peer, ratio, target, met]);
        self.0.judge(what, verdict);
    }

    /// The section.
    pub fn finish(self) -> Section {
        self.0
    }
}
