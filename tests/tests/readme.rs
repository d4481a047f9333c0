//! What the README says can be typed, can be typed.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_tests::peers::free_address;
use hallwatch_tests::process::Process;
use hallwatch_tests::prometheus::{self, http};
use hallwatch_tests::wait::wait_for;

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().expect("the root")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
}

/// The lines of the README's blocks of shell commands.
fn commands() -> Vec<String> {
    let readme = readme();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn the_two_commands_come_first_and_ci_calls_the_second() {
    assert_eq!(commands().get(..2), Some(&["cargo demo".to_owned(), "tests/run".to_owned()][..]));
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    assert_eq!(ci.lines().last(), Some("exec tests/run"));
}

#[test]
fn every_file_and_crate_that_it_names_is_there() {
    for word in readme().split(['`', '(', ')']) {
        let path = word.trim_end_matches('/');
        let is_path = path.contains('/') && !path.contains(['*', ' ', '<', '\n', ':', '=', '|']);
        if is_path && !path.starts_with(['/', '-']) {
            assert!(root().join(path).exists(), "the README names {path}, which is not there");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_starts_pages_and_ends_as_typed() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = directory.path().join("pages.jsonl");
    let (page, control) = (free_address(), free_address());
    let typed = commands();
    let mut words = typed.first().expect("a command").split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command
        .args(words)
        .args(["--http", &page.to_string(), "--control", &control.to_string(), "--record"])
        .arg(&record)
        .current_dir(root())
        // As a shell does: Ctrl-C reaches cargo and what it runs.
        .process_group(0);
    let mut demo = Process::start("demo", directory.path(), command).expect("cargo");

    // The first build of the release profile takes minutes.
    let base = format!("http://{page}");
    wait_for("the demo's readings", Duration::from_secs(1_500), async || {
        assert!(demo.is_running(), "the demo ended");
        let up = prometheus::try_query(&base, "count(device_up == 1) >= 12").await.ok()?;
        (!up.is_empty()).then_some(())
    })
    .await;
    let text = http().get(format!("{base}/")).send().await.expect("the page");
    assert!(text.status().is_success());
    let fault = format!("http://{control}/faults/utility-off");
    let status = http().post(&fault).send().await.expect("the control").status();
    assert!(status.is_success(), "{status}");
    wait_for("a page about the utility", Duration::from_secs(60), async || {
        let pages = std::fs::read_to_string(&record).ok()?;
        pages.contains("UtilityLost").then_some(())
    })
    .await;
    assert!(demo.output().contains("PAGE  CRITICAL UtilityLost"), "{}", demo.output());

    let group = format!("-{}", demo.id());
    let sent = Command::new("kill").args(["-INT", "--", &group]).status().expect("kill");
    assert!(sent.success());
    let status = demo.ended(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}: {}", demo.output());
}
