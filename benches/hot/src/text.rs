const WORDS: [&str; 14] = [
    "agent", "task", "status", "running", "plan", "review", "merge", "build", "test", "deploy", "cache",
    "index", "shard", "queue",
];

/// Words with numbers, as agents' notes are: `len` bytes that compress about as well.
pub(crate) fn notes(len: usize) -> String {
    let mut notes = String::with_capacity(len + 16);
    for at in 0.. {
        // Knuth's multiplicative hash: in no order, and the same in every run.
        let number = (at as u32).wrapping_mul(2_654_435_761) as usize;
        notes.push_str(WORDS[(number >> 8) % WORDS.len()]);
        notes.push_str(&format!("{} ", (number >> 16) % 1_000));
        if notes.len() >= len {
            break;
        }
    }
    notes.truncate(len);
    notes
}
