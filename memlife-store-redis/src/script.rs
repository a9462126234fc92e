use sha1_smol::Sha1;

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

/// The scripts of a store. They are known by their text, so that two versions of memlife can share a server.
pub(crate) struct Scripts {
    /// Writes.
    pub(crate) apply: Script,
    /// The same for writes that free more than they take, which a server at its memory limit runs, too.
    pub(crate) free: Script,
    /// Takes off the indexes what expired on the server.
    pub(crate) forget: Script,
    /// Lengthens the grace of a shard.
    pub(crate) lengthen: Script,
    /// Puts rebuilt indexes in place.
    pub(crate) rebuild: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let apply = include_str!("apply.lua");
        Scripts {
            apply: Script::new("", apply),
            free: Script::new(" flags=allow-oom", apply),
            forget: Script::new(" flags=allow-oom", include_str!("forget.lua")),
            lengthen: Script::new(" flags=allow-oom", include_str!("lengthen.lua")),
            rebuild: Script::new(" flags=allow-oom", include_str!("rebuild.lua")),
        }
    }
}
