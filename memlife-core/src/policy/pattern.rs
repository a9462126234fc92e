use std::sync::Arc;

/// Which keys a rule is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    text: Arc<str>,
}

impl Pattern {
    /// The pattern `*`, which covers every key.
    pub fn everything() -> Self {
        Pattern { text: "*".into() }
    }

    /// The pattern as written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }
}
