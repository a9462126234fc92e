/// How many times as much random tests try: 1, or 20 where `MEMLIFE_LONG` asks for the long run.
pub(crate) fn factor() -> u32 {
    if std::env::var_os("MEMLIFE_LONG").is_some() { 20 } else { 1 }
}
