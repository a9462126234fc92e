//! How many cases the properties are tried on.

use proptest::prelude::ProptestConfig;

/// 10,000 cases, or as many as the environment variable `PROPTEST_CASES` says: 1,000,000 for a long run.
pub fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 10_000;
    }
    config
}
