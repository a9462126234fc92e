//! `memlife-hot NAME CALLS` calls one function for callgrind to count; without arguments it lists their names.

use memlife_hot::{Meter, Result, functions};
use std::hint::black_box;
use std::io::Write;

/// Calls a function so often.
struct Counted {
    calls: u32,
}

impl Meter for Counted {
    fn measure<I, O>(
        &mut self,
        mut prepare: impl FnMut() -> I,
        mut call: impl FnMut(I) -> Result<O>,
    ) -> Result {
        // What is made at the first call and kept, and where the linker finds its functions, is no call's share.
        drop(call(black_box(prepare()))?);
        for _ in 0..self.calls {
            drop(counted(&mut call, black_box(prepare()))?);
        }
        Ok(())
    }
}

/// `scripts/instructions` names it to callgrind, which counts from here to the return.
#[inline(never)]
fn counted<I, O>(call: &mut impl FnMut(I) -> Result<O>, input: I) -> Result<O> {
    black_box(call(input))
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let mut out = std::io::stdout().lock();
            functions::<Counted>().iter().try_for_each(|(name, _)| writeln!(out, "{name}"))?;
        }
        [name, calls] => {
            let functions = functions();
            let (_, hot) = functions.iter().find(|(known, _)| known == name).ok_or("no such function")?;
            hot(&mut Counted { calls: calls.parse()? })?;
        }
        _ => return Err("give NAME CALLS, or nothing".into()),
    }
    Ok(())
}
