use super::read_found;
use std::path::{Path, PathBuf};

/// Git's pointers are one line with one path.
const MAX_POINTER_BYTES: usize = 8 << 10;

/// The main working tree of the linked git worktree `directory`; `None` for anything else, a submodule too.
///
/// The main repository must know the worktree: a `.git` file that somebody brought along leads nowhere else.
pub(super) fn main_tree(directory: &Path) -> Option<PathBuf> {
    let pointer = directory.join(".git");
    let git_dir = directory.join(pointed(&pointer)?.strip_prefix("gitdir:")?.trim());
    let common = git_dir.join(pointed(&git_dir.join("commondir"))?.trim()).canonicalize().ok()?;
    let back = git_dir.join(pointed(&git_dir.join("gitdir"))?.trim()).canonicalize().ok()?;
    let is_known = back == pointer.canonicalize().ok()?;
    // The worktrees of a bare repository have no main one.
    let is_beside_files = common.file_name().is_some_and(|name| name == ".git");
    (is_known && is_beside_files).then(|| common.parent().map(Path::to_path_buf))?
}

fn pointed(path: &Path) -> Option<String> {
    read_found(path, MAX_POINTER_BYTES).ok()
}
