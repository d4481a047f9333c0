//! Small disks of agents and collectors. Mounting needs root.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::peers::program;

/// Runs a program of a Debian package, which has to succeed.
pub fn run(name: &str, package: &str, arguments: &[&str]) {
    let output = Command::new(program(name, package)).args(arguments).output().expect(name);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}: {error}", arguments.join(" "));
}

/// Until nothing fits any more.
pub fn fill(disk: &Path) {
    let mut file = std::fs::File::create(disk.join("fill")).expect("a filler");
    for block in [vec![0; 1 << 16], vec![0; 1 << 12]] {
        while file.write_all(&block).is_ok() {}
    }
}

/// A disk of its own.
pub fn mount(directory: &Path, size: &str) {
    std::fs::create_dir_all(directory).expect("a directory");
    let at = directory.to_str().expect("a path in UTF-8");
    run("mount", "mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", at]);
}

/// With `rw` or `ro`.
pub fn remount(disk: &Path, mode: &str) {
    let disk = disk.to_str().expect("a path in UTF-8");
    run("mount", "mount", &["-o", &format!("remount,{mode}"), disk]);
}
