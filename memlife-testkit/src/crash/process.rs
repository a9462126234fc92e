use super::child::{Environment, MARK, Part, TOLD};
use crate::random::Random;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A process that has told nothing for so long will not.
const PATIENCE: Duration = Duration::from_secs(30);

/// The processes of one round.
pub(super) struct Family {
    members: Vec<Member>,
    lines: Receiver<String>,
}

struct Member {
    child: Child,
    log: Option<JoinHandle<Vec<String>>>,
}

impl Family {
    /// Starts a process for each of `casts`.
    pub(super) fn start(test: &str, directory: &Path, casts: Vec<Vec<Part>>, random: &mut Random) -> Self {
        let (told, lines) = channel();
        let members = casts
            .into_iter()
            .map(|parts| {
                let environment = Environment { parts, directory: directory.to_owned(), seed: random.next() };
                Member::start(test, &environment, told.clone())
            })
            .collect();
        Family { members, lines }
    }

    /// Waits until a process has told this.
    pub(super) fn wait_for(&self, line: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(told) if told == line => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no process told {line:?} within {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("all processes ended before one told {line:?}"),
            }
        }
    }

    /// Kills all, and gives what each part had told by then.
    pub(super) fn kill(mut self) -> Vec<Vec<String>> {
        for member in &mut self.members {
            // One that has ended by itself is found out by what it told.
            let _ = member.child.kill();
        }
        self.members.iter_mut().flat_map(|member| by_part(member.log())).collect()
    }
}

impl Member {
    fn start(test: &str, environment: &Environment, told: Sender<String>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
        environment.give(&mut command);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Member { child, log: Some(std::thread::spawn(move || read(stdout, &told))) }
    }

    fn log(&mut self) -> Vec<String> {
        let _ = self.child.wait();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }
}

/// What each part told; what came from none stands first.
fn by_part(log: Vec<String>) -> Vec<Vec<String>> {
    let mut parts: BTreeMap<Option<usize>, Vec<String>> = BTreeMap::new();
    for line in log {
        let (part, line) = match line.split_once(TOLD) {
            Some((part, told)) if part.parse::<usize>().is_ok() => (part.parse().ok(), told.to_owned()),
            _ => (None, line),
        };
        parts.entry(part).or_default().push(line);
    }
    parts.into_values().collect()
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the marked lines of a process until it ends; a line that the kill cut was not told.
fn read(stdout: impl Read, told: &Sender<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    while matches!(reader.read_line(&mut line), Ok(read) if read > 0) {
        if let Some(text) = line.strip_prefix(MARK).and_then(|text| text.strip_suffix('\n')) {
            lines.push(text.to_owned());
            let _ = told.send(text.to_owned());
        }
        line.clear();
    }
    lines
}
