//! A disk whose power can be cut: what was not synced is gone, as if the machine had stopped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::program;

/// `FS_IOC_SHUTDOWN` without flushing the log: no write reaches the disk from then on.
const CUT: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// An ext4 file system in a file, mounted by a loop device. Unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
    mounted: bool,
}

fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {error}(a disk to cut the power of needs root and loop devices)",
        program.display()
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Disk {
    /// A new, empty one of `megabytes`, mounted at the directory `at`, which is made if need be.
    ///
    /// Panics where none can be had: needs root, loop devices, e2fsprogs and python3.
    #[must_use]
    pub fn new(at: &Path, megabytes: u32) -> Self {
        let (image, at) = (at.with_extension("img"), at.to_owned());
        std::fs::create_dir_all(&at).expect("a directory");
        let _ = std::fs::remove_file(&image);
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(u64::from(megabytes) << 20).expect("an image of that size");
        run(&program("mkfs.ext4", "e2fsprogs"), &["-q", "-F", text(&image)]);
        let mut disk = Self { image, at, mounted: false };
        disk.mount();
        disk
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    fn mount(&mut self) {
        let arguments = ["-o", "loop", text(&self.image), text(&self.at)];
        run(&program("mount", "mount"), &arguments);
        self.mounted = true;
    }

    /// The power goes: from now on nothing reaches the disk, and every write fails.
    pub fn cut(&self) {
        run(&program("python3", "python3"), &["-c", CUT, text(&self.at)]);
    }

    /// The power is back: what is on the disk is there again. Nobody may have a file of it open.
    pub fn power_up(&mut self) {
        run(&program("umount", "mount"), &[text(&self.at)]);
        self.mounted = false;
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Whoever still has a file open loses it at its own end.
            let _ = Command::new("umount").args(["--lazy", text(&self.at)]).status();
        }
    }
}
