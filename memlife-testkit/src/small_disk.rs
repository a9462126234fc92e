use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A small file system of its own, for tests of full and of read-only disks. Unmounted when dropped.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of `bytes`; `None`, with a line that says so, where the machine does not let the test mount.
    ///
    /// # Panics
    /// Instead, when `MEMLIFE_DEMAND_MOUNTS` is set, as it is where nothing may be skipped.
    #[allow(clippy::disallowed_methods, reason = "the environment says whether skipping is allowed")]
    pub fn mount(bytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes},mode=0700");
        if run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.path().to_str().unwrap()]) {
            return Some(SmallDisk(folder));
        }
        let told = "this machine does not let the test mount a small file system (needs root)";
        assert!(std::env::var_os("MEMLIFE_DEMAND_MOUNTS").is_none(), "{told}");
        println!("SKIP: {told}");
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Lets nobody write to it any more.
    ///
    /// # Panics
    /// When it cannot be mounted anew.
    pub fn make_read_only(&self) {
        assert!(run("mount", &["-o", "remount,ro", self.path().to_str().unwrap()]));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failing test may still hold the store open.
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
