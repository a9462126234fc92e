//! The wall time of each function. Nothing fails by it.

use criterion::{BatchSize, Criterion};
use memlife_hot::{Meter, Result, functions};

struct Timed {
    criterion: Criterion,
    name: &'static str,
}

impl Meter for Timed {
    fn measure<I, O>(
        &mut self,
        mut prepare: impl FnMut() -> I,
        mut call: impl FnMut(I) -> Result<O>,
    ) -> Result {
        drop(call(prepare())?);
        self.criterion.bench_function(self.name, |bencher| {
            bencher.iter_batched(&mut prepare, &mut call, BatchSize::SmallInput);
        });
        Ok(())
    }
}

fn main() -> Result {
    let mut timed = Timed { criterion: Criterion::default().configure_from_args(), name: "" };
    for (name, hot) in functions() {
        timed.name = name;
        hot(&mut timed)?;
    }
    timed.criterion.final_summary();
    Ok(())
}
