use std::process::ExitCode;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: nothing found, a conflict, or something is left to do.
    Nothing,
    /// 2: an error, which has been told on stderr.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Nothing => ExitCode::from(1),
            Exit::Failed => ExitCode::from(2),
        }
    }
}
