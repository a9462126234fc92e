use sha1_smol::Sha1;
use std::collections::{HashMap, VecDeque};
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
        let text = &written_out(text);
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

/// The text with its constants written out where they stand: the lines of their own that give names in capitals to
/// numbers and strings. Lua knows no constants, and a local of the main part costs at each call of the script, for each
/// function that uses it, a search among all others.
fn written_out(text: &str) -> String {
    let mut constants = HashMap::new();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match constants_of(line) {
            // The line stays, so that errors tell the line of the source.
            Some(found) => constants.extend(found),
            None => write_out(line, &constants, &mut out),
        }
        out.push('\n');
    }
    out
}

/// The constants that a line defines; `None` for any other line.
fn constants_of(line: &str) -> Option<Vec<(&str, &str)>> {
    let (names, values) = line.strip_prefix("local ")?.split_once(" = ")?;
    let (names, values): (Vec<&str>, Vec<&str>) = (names.split(", ").collect(), values.split(", ").collect());
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_literal = |value: &&str| {
        let is_text = value.len() > 1 && value.starts_with('\'') && value.ends_with('\'');
        is_text || value.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_one = names.len() == values.len() && names.iter().all(is_name) && values.iter().all(is_literal);
    is_one.then(|| names.into_iter().zip(values).collect())
}

fn write_out(line: &str, constants: &HashMap<&str, &str>, out: &mut String) {
    // Every other part stands in quotes.
    for (at, part) in line.split('\'').enumerate() {
        if at > 0 {
            out.push('\'');
        }
        if at % 2 == 1 {
            out.push_str(part);
            continue;
        }
        let (code, comment) = part.split_at(part.find("--").unwrap_or(part.len()));
        for piece in code.split_inclusive(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_')) {
            let word = piece.trim_end_matches(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'));
            out.push_str(constants.get(word).unwrap_or(&word));
            out.push_str(&piece[word.len()..]);
        }
        out.push_str(comment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_written_out_where_they_stand() {
        let text = "local ONE, TEXT = 1, '>I2'\nlocal one = ONE + ONES -- ONE\nprint('ONE', TEXT)\n  local TWO = 2\n";
        let wanted = "\nlocal one = 1 + ONES -- ONE\nprint('ONE', '>I2')\n  local TWO = 2\n";
        assert_eq!(written_out(text), wanted);
    }

    #[test]
    fn only_plain_values_are_constants() {
        for line in
            ["local A = b", "local a = 1", "local A, B = 1", "local A = {}", "A = 1", "local A = 1 + 1"]
        {
            assert_eq!(constants_of(line), None, "{line}");
        }
    }

    #[test]
    fn no_constant_of_the_script_is_left() {
        let text = written_out(WRITES);
        assert_eq!(text.lines().count(), WRITES.lines().count());
        assert!(!text.contains("HEAD_OF_PUT"), "{text}");
        assert!(!text.lines().any(|line| constants_of(line).is_some()));
    }
}
