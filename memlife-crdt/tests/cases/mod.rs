//! How many cases the properties are tried on.

use proptest::prelude::ProptestConfig;

/// 1,024 cases, or as many as the environment variable `PROPTEST_CASES` says.
pub fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1_024;
    }
    config
}
