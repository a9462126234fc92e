/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Runs each seed, and names the one that fails.
pub fn run_seeds<F: Future<Output = ()>>(seeds: impl IntoIterator<Item = u64>, run: impl Fn(u64) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in seeds {
        let named = std::panic::AssertUnwindSafe(|| runtime.block_on(run(seed)));
        if let Err(panic) = std::panic::catch_unwind(named) {
            println!("seed {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

/// The seed that `MEMLIFE_SEED` names.
#[allow(clippy::disallowed_methods, reason = "how a person names the seed")]
pub fn seed_by_hand() -> Option<u64> {
    std::env::var("MEMLIFE_SEED").ok().and_then(|seed| seed.parse().ok())
}
