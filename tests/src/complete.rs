//! The proof that nothing is lost: all that the agent has journalled is in the store, once, with the
//! right value.

use std::time::Duration;

use crate::journal::{Journal, stored};
use crate::pager::now;
use crate::site::Site;

/// What there was to compare.
pub struct Complete {
    /// The journal. Nobody uses it any more.
    pub journal: Journal,
    /// How many series the journal has.
    pub series: usize,
    /// How many readings the journal has, all of them in the store.
    pub readings: usize,
}

/// Ends the agent, starts it again, waits until all is drained, ends agent and collector, and
/// compares. Panics at the first reading that is missing, twice there or another.
pub async fn complete(site: &mut Site) -> Complete {
    // The agent keeps its journal to itself while it runs.
    assert!(site.agent.terminate().await.success(), "{}", site.agent.output());
    let last = Journal::open(&site.journal()).newest();
    site.restart_agent();

    // The path is alive, not only drained.
    let patience = Duration::from_secs(60);
    let seen = site.reads("agent_watermark_seconds", patience).await[0].last();
    site.reads(&format!("agent_watermark_seconds > {seen}"), patience).await;
    let started = now().as_seconds();
    let drained =
        format!("agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {started}");
    site.reads(&drained, patience).await;
    assert!(site.agent.terminate().await.success(), "{}", site.agent.output());
    assert!(site.collector.terminate().await.success(), "{}", site.collector.output());

    let journal = Journal::open(&site.journal());
    assert_eq!(journal.owed(last), 0, "entries that the collector has not acknowledged");
    let journalled = journal.readings(last, "acme", "fra-1");
    let stored = stored(&site.directory().join("collector"));
    let mut readings = 0;
    for (labels, times) in &journalled {
        let kept = stored.get(labels).unwrap_or_else(|| panic!("{labels} is not in the store"));
        for (time, bits) in times {
            assert_eq!(kept.get(time), Some(bits), "{labels} at {time}");
            readings += 1;
        }
    }
    Complete { journal, series: journalled.len(), readings }
}
