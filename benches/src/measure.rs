use anyhow::Result;
use std::time::{Duration, Instant};

/// Real time that passed.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to count.
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time; here and nowhere else")]
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Seconds since.
    pub fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Time since.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// How long `work` takes, in seconds.
pub async fn seconds(work: impl Future<Output = Result<()>>) -> Result<f64> {
    let watch = Stopwatch::start();
    work.await?;
    Ok(watch.seconds())
}

/// What several rounds gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one; of an even number the greater of the two.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of at least one number.
    pub fn of(mut samples: Vec<f64>) -> Result<Self> {
        samples.sort_by(f64::total_cmp);
        match (samples.first(), samples.get(samples.len() / 2), samples.last()) {
            (Some(&min), Some(&median), Some(&max)) => Ok(Spread { min, median, max }),
            _ => anyhow::bail!("no round was measured"),
        }
    }

    /// Of `map` over each number.
    pub fn map(samples: &[f64], map: impl Fn(f64) -> f64) -> Result<Self> {
        Spread::of(samples.iter().copied().map(map).collect())
    }
}

/// The seconds that each round took, ours and the peer's.
#[derive(Clone, Debug, Default)]
pub struct Duel {
    /// Ours.
    pub ours: Vec<f64>,
    /// The peer's, of the same rounds.
    pub peer: Vec<f64>,
}

impl Duel {
    /// Adds a round.
    pub fn push(&mut self, ours: f64, peer: f64) {
        self.ours.push(ours);
        self.peer.push(peer);
    }

    /// How many times as fast we were, round by round: the machine's drift is in both halves of each.
    pub fn speed(&self) -> Result<Spread> {
        Spread::of(self.ours.iter().zip(&self.peer).map(|(ours, peer)| peer / ours).collect())
    }

    /// How many times as long we took, round by round.
    pub fn time(&self) -> Result<Spread> {
        Spread::of(self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer).collect())
    }
}

/// Measures both in turn, each first in every other round. A measurement returns the seconds of its timed part.
pub async fn duel(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> Result<f64>,
    mut peer: impl FnMut() -> Result<f64>,
) -> Result<Duel> {
    let mut duel = Duel::default();
    for round in 0..rounds {
        if round % 2 == 1 {
            duel.peer.push(peer()?);
        }
        duel.ours.push(ours().await?);
        if round % 2 == 0 {
            duel.peer.push(peer()?);
        }
    }
    Ok(duel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_hold_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert!(Spread::of(Vec::new()).is_err());
    }

    #[test]
    fn speed_and_time_are_each_others_inverse() {
        let duel = Duel { ours: vec![1.0, 2.0], peer: vec![2.0, 2.0] };
        assert_eq!(duel.speed().unwrap(), Spread { min: 1.0, median: 2.0, max: 2.0 });
        assert_eq!(duel.time().unwrap(), Spread { min: 0.5, median: 1.0, max: 1.0 });
    }
}
