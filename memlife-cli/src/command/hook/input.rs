use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long the input may take to come. Its end is not waited for: some agents never close it.
const WAIT: Duration = Duration::from_millis(50);
const MAX_INPUT_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 128;
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;

/// What an agent tells its hooks, as far as it matters here. Nothing of it is to be trusted.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct HookInput {
    /// The session.
    #[serde(default)]
    pub session_id: Option<String>,
    /// The moment, as the agent names it.
    #[serde(default)]
    pub hook_event_name: Option<String>,
    /// Where the agent works.
    #[serde(default)]
    pub cwd: Option<String>,
}

impl HookInput {
    /// The directory to look for the store from, where one is told and there.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        let directory = PathBuf::from(self.cwd.as_ref()?);
        (directory.is_absolute() && directory.is_dir()).then_some(directory)
    }
}

/// Reads one JSON object from `source`; nothing at all is an empty one.
///
/// # Errors
/// When something comes that is no such object, or does not end in time.
pub(super) fn read(source: impl Read + Send + 'static) -> Result<HookInput> {
    let chunks = read_aside(source)?;
    let text = collect(&chunks)?;
    if text.is_empty() {
        return Ok(HookInput::default());
    }
    let input: HookInput = serde_json::from_slice(&text).context("it is not the JSON of a hook")?;
    tracing::debug!(event = ?input.hook_event_name, "read the hook's input");
    Ok(input)
}

/// Reads on a thread of its own, which may hang for ever on a pipe that nobody closes, and ends with the process.
fn read_aside(mut source: impl Read + Send + 'static) -> Result<Receiver<Vec<u8>>> {
    let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
    let work = move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        // An input that cannot be read has ended.
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name("memlife-stdin".into()).spawn(work).context("no thread could be started")?;
    Ok(chunks)
}

#[allow(clippy::disallowed_methods, reason = "the agent waits in real time")]
fn collect(chunks: &Receiver<Vec<u8>>) -> Result<Vec<u8>> {
    let deadline = Instant::now() + WAIT;
    let mut text = Vec::new();
    let mut scan = Scan::default();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match chunks.recv_timeout(left) {
            Ok(chunk) => {
                let end = scan.take(&chunk)?;
                text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
                if text.len() > MAX_INPUT_BYTES {
                    bail!("it has more than {MAX_INPUT_BYTES} bytes");
                }
                if end.is_some() {
                    return Ok(text);
                }
            }
            Err(_) if text.iter().all(u8::is_ascii_whitespace) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Timeout) => bail!("it did not end within {} ms", WAIT.as_millis()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ends in the middle"),
        }
    }
}

/// Finds where an object ends without parsing it again for every piece that comes.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Looks at the next piece; answers with the end of the object within it.
    fn take(&mut self, piece: &[u8]) -> Result<Option<usize>> {
        for (at, byte) in piece.iter().enumerate() {
            if self.in_string {
                self.in_string = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'{' | b'[' if self.depth >= MAX_DEPTH => bail!("it nests deeper than {MAX_DEPTH} levels"),
                b'{' => self.depth += 1,
                other if self.depth == 0 && !other.is_ascii_whitespace() => bail!("it is no JSON object"),
                b'[' => self.depth += 1,
                b'"' => self.in_string = true,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read_text(text: impl Into<Vec<u8>>) -> Result<HookInput> {
        read(Cursor::new(text.into()))
    }

    #[test]
    fn reads_what_agents_send() {
        let text = r#"{"session_id":"a}\"b","hook_event_name":"Stop","x":[{"y":"]"}],"cwd":"/"}"#;
        let input = read_text(text).unwrap();
        assert_eq!(input.session_id.as_deref(), Some("a}\"b"));
        assert_eq!(input.directory(), Some(PathBuf::from("/")));
        assert_eq!(read_text(" \n").unwrap(), HookInput::default());
        assert_eq!(read_text("{} rest").unwrap(), HookInput::default());
    }

    #[test]
    fn refuses_what_is_none() {
        let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1");
        for (text, told) in [
            ("hello".as_bytes(), "no JSON object"),
            (b"}", "no JSON object"),
            (b"[1]", "no JSON object"),
            (b"{\"session_id\":", "in the middle"),
            (b"{\"session_id\":5}", "JSON of a hook"),
            (b"{\"session_id\":\"\xff\"}", "JSON of a hook"),
            (deep.as_bytes(), "deeper"),
        ] {
            let error = format!("{:#}", read_text(text).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_source_that_never_ends_is_bounded() {
        let endless = Cursor::new("{\"a\":\"").chain(std::io::repeat(b'x'));
        let error = format!("{:#}", read(endless).unwrap_err());
        assert!(error.contains("more than") || error.contains("did not end"), "{error}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_used() {
        for cwd in ["relative", "/no/such/directory", ""] {
            let input = HookInput { cwd: Some(cwd.into()), ..HookInput::default() };
            assert_eq!(input.directory(), None, "{cwd}");
        }
    }
}
