use super::{read_found, worktree};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};

const MAX_CONFIG_BYTES: usize = 64 << 10;

/// What stands in the ancestors of a directory, the nearest first.
#[derive(Debug)]
pub struct Project {
    /// The directory that the search began in.
    pub start: PathBuf,
    /// The nearest ancestor with a `.memlife/config.toml`, and what that says.
    pub config: Option<(PathBuf, ConfigFile)>,
    /// The nearest ancestor with a store or a repository, and which of them.
    pub marked: Option<(PathBuf, Mark)>,
}

/// What shows that memory belongs to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `.memlife/store.db`.
    Store,
    /// `.claude-flow/memory`, a directory of the Python original.
    Original,
    /// `.git`.
    Repository,
}

/// The file `.memlife/config.toml`. Relative paths in it are relative to the directory that `.memlife` is in.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The URL of the store.
    pub store: Option<String>,
    /// The policy file.
    pub policies: Option<PathBuf>,
}

impl Mark {
    /// The path below the directory.
    pub const fn path(self) -> &'static str {
        match self {
            Mark::Store => ".memlife/store.db",
            Mark::Original => ".claude-flow/memory",
            Mark::Repository => ".git",
        }
    }
}

impl Project {
    /// Looks from `start` upwards. A linked git worktree counts as its main one, so that all of them share one store.
    ///
    /// # Errors
    /// When a `.memlife/config.toml` cannot be read or is not what it should be.
    pub fn find(start: &Path) -> Result<Self> {
        let mut project = Project { start: start.to_path_buf(), config: None, marked: None };
        for ancestor in start.ancestors() {
            let main = worktree::main_tree(ancestor);
            let directory = main.as_deref().unwrap_or(ancestor);
            if project.config.is_none() {
                project.config = read_config(directory)?.map(|config| (directory.to_path_buf(), config));
            }
            if project.marked.is_none() {
                project.marked = mark_of(directory).map(|mark| (directory.to_path_buf(), mark));
            }
            if project.config.is_some() && project.marked.is_some() {
                break;
            }
        }
        Ok(project)
    }

    /// The directory whose policy file holds: that of the configuration, else the marked one, else the start.
    pub fn directory(&self) -> &Path {
        let config = self.config.as_ref().map(|(directory, _)| directory);
        config.or(self.marked.as_ref().map(|(directory, _)| directory)).unwrap_or(&self.start)
    }
}

fn mark_of(directory: &Path) -> Option<Mark> {
    let marks = [Mark::Store, Mark::Original, Mark::Repository];
    marks.into_iter().find(|mark| {
        let path = directory.join(mark.path());
        match mark {
            Mark::Store => path.is_file(),
            Mark::Original => path.is_dir(),
            Mark::Repository => path.exists(),
        }
    })
}

fn read_config(directory: &Path) -> Result<Option<ConfigFile>> {
    let path = directory.join(".memlife/config.toml");
    let text = match read_found(&path, MAX_CONFIG_BYTES) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} could not be read", path.display())),
    };
    let config = toml::from_str(&text).with_context(|| {
        format!("{} is not a configuration: it takes the keys `store` and `policies`", path.display())
    })?;
    Ok(Some(config))
}

/// Nothing is there, or nothing that this user may look for.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A repository at `main` with a linked worktree at `linked`, as git lays them out.
    fn worktree(root: &Path) -> (PathBuf, PathBuf) {
        let (main, linked) = (root.join("main"), root.join("linked"));
        let git_dir = main.join(".git/worktrees/linked");
        write(&git_dir.join("commondir"), "../..\n");
        write(&git_dir.join("gitdir"), &format!("{}\n", linked.join(".git").display()));
        write(&linked.join(".git"), &format!("gitdir: {}\n", git_dir.display()));
        (main, linked)
    }

    #[test]
    fn the_nearest_mark_holds_and_a_store_goes_before_a_repository() {
        let root = folder();
        fs::create_dir_all(root.path().join(".git")).unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let project = Project::find(&inner).unwrap();
        assert_eq!(project.marked, Some((root.path().to_path_buf(), Mark::Repository)));
        write(&root.path().join(".memlife/store.db"), "");
        assert_eq!(Project::find(&inner).unwrap().marked.unwrap().1, Mark::Store);
        fs::create_dir_all(inner.join(".claude-flow/memory")).unwrap();
        assert_eq!(Project::find(&inner).unwrap().marked, Some((inner.clone(), Mark::Original)));
    }

    #[test]
    fn a_configuration_is_found_beyond_a_nearer_repository() {
        let root = folder();
        write(&root.path().join(".memlife/config.toml"), "store = \"memory:\"\n");
        let inner = root.path().join("inner");
        fs::create_dir_all(inner.join(".git")).unwrap();
        let project = Project::find(&inner).unwrap();
        assert_eq!(project.directory(), root.path());
        assert_eq!(project.config.unwrap().1.store.as_deref(), Some("memory:"));
        assert_eq!(project.marked.unwrap().0, inner);
    }

    #[test]
    fn a_linked_worktree_counts_as_its_main_one() {
        let root = folder();
        let base = root.path().canonicalize().unwrap();
        let (main, linked) = worktree(&base);
        let deep = linked.join("src/deep");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(Project::find(&deep).unwrap().marked, Some((main, Mark::Repository)));
    }

    #[test]
    fn a_pointer_that_the_repository_does_not_know_leads_nowhere() {
        let root = folder();
        let base = root.path().canonicalize().unwrap();
        let (main, _) = worktree(&base);
        let forged = base.join("forged");
        let git_dir = main.join(".git/worktrees/linked");
        write(&forged.join(".git"), &format!("gitdir: {}\n", git_dir.display()));
        assert_eq!(Project::find(&forged).unwrap().marked, Some((forged, Mark::Repository)));
    }

    #[test]
    fn an_unknown_key_is_told() {
        let root = folder();
        write(&root.path().join(".memlife/config.toml"), "stroe = \"memory:\"\n");
        let told = format!("{:#}", Project::find(root.path()).unwrap_err());
        assert!(told.contains("stroe") && told.contains("config.toml"), "{told}");
    }
}
