use sha1_smol::Sha1;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A script and the digest that it is called by.
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) digest: String,
}

impl Script {
    fn new(flags: &str, text: &str) -> Self {
        let text = format!("#!lua{flags}\n{text}");
        let digest = Sha1::from(text.as_bytes()).digest().to_string();
        Script { text, digest }
    }
}

/// One script, for writes that take memory and for those that free more than they take, which a server at its memory
/// limit runs, too.
pub(crate) struct Pair {
    takes: Script,
    frees: Script,
}

impl Pair {
    fn new(text: &str) -> Self {
        Pair { takes: Script::new("", text), frees: Script::new(" flags=allow-oom", text) }
    }

    pub(crate) fn of(&self, takes_memory: bool) -> &Script {
        if takes_memory { &self.takes } else { &self.frees }
    }
}

/// The script of writes with an epoch named in its text: a server that knows its digest is the process of that epoch,
/// since scripts end with the process and go to no replica.
pub(crate) struct Bound {
    pub(crate) epoch: Vec<u8>,
    pub(crate) scripts: Pair,
    known: [AtomicBool; 2],
}

impl Bound {
    fn new(epoch: &[u8]) -> Self {
        let text = format!("{WRITES}-- epoch {}\n", String::from_utf8_lossy(epoch));
        Bound { epoch: epoch.to_vec(), scripts: Pair::new(&text), known: Default::default() }
    }

    /// Whether the server of this epoch has known the script, from now on no more.
    pub(crate) fn was_known(&self, takes_memory: bool) -> bool {
        self.known[usize::from(takes_memory)].swap(false, Ordering::Relaxed)
    }

    /// Takes note that the server knows the script.
    pub(crate) fn is_known(&self, takes_memory: bool) {
        self.known[usize::from(takes_memory)].store(true, Ordering::Relaxed);
    }
}

const WRITES: &str = include_str!("apply.lua");
/// Server processes whose scripts are remembered.
const MAX_BOUND: usize = 64;

/// The scripts of a store. They are known by their text, so that two versions of memlife can share a server.
pub(crate) struct Scripts {
    /// Writes, at a server whose epoch is not known.
    pub(crate) unbound: Pair,
    bound: Mutex<VecDeque<Arc<Bound>>>,
    /// Goes on in a due index.
    pub(crate) due: Script,
    /// Takes off the indexes what the server has evicted.
    pub(crate) forget: Script,
    /// Lengthens the grace of a shard.
    pub(crate) lengthen: Script,
    /// Puts rebuilt indexes in place.
    pub(crate) rebuild: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Scripts {
            unbound: Pair::new(WRITES),
            bound: Mutex::default(),
            due: Script::new(" flags=no-writes", include_str!("due.lua")),
            forget: Script::new(" flags=allow-oom", include_str!("forget.lua")),
            lengthen: Script::new(" flags=allow-oom", include_str!("lengthen.lua")),
            rebuild: Script::new(" flags=allow-oom", include_str!("rebuild.lua")),
        }
    }

    /// Writes, at the server process of this epoch.
    pub(crate) fn bound_to(&self, epoch: &[u8]) -> Arc<Bound> {
        let mut all = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bound) = all.iter().find(|bound| bound.epoch == epoch) {
            return bound.clone();
        }
        let bound = Arc::new(Bound::new(epoch));
        if all.len() >= MAX_BOUND {
            all.pop_front();
        }
        all.push_back(bound.clone());
        bound
    }
}
