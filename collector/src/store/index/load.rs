//! Many series at once, for the start.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use hallwatch_model::{Label, Labels};

use super::Index;
use super::ids::Ids;

/// Room for more series than this is made when they come.
const MOST_ROOM: usize = 1 << 20;
/// Series that are handed to the other thread together, and how often this one is ahead.
const PART: usize = 4_096;
const PARTS: usize = 16;

/// Series on their way into the index, by ascending number. Neighbours, such as the points of a
/// device, have most labels in common: these are looked up once for all of them.
pub(in super::super) struct Loading<'a> {
    index: &'a mut Index,
    /// By place within the series before: its label, and who else has it there.
    runs: Vec<Run>,
    /// Which number the labels have is noted by another thread: it is a third of the work.
    named: SyncSender<Vec<(Labels, u32)>>,
    part: Vec<(Labels, u32)>,
}

struct Run {
    label: Arc<Label>,
    ids: Vec<u32>,
}

impl Index {
    /// Takes the series that `each` puts in, with numbers up to about `highest`.
    pub(in super::super) fn load<T>(
        &mut self,
        highest: u32,
        each: impl FnOnce(&mut Loading<'_>) -> T,
    ) -> T {
        self.reserve(highest);
        let mut ids = std::mem::take(&mut self.ids);
        ids.reserve((highest as usize).min(MOST_ROOM));
        std::thread::scope(|scope| {
            let (named, parts) = sync_channel::<Vec<(Labels, u32)>>(PARTS);
            let noting = scope.spawn(move || -> Ids {
                parts.into_iter().flatten().for_each(|(labels, id)| ids.insert(labels, id));
                ids
            });
            let mut loading = Loading { index: self, runs: Vec::new(), named, part: Vec::new() };
            let done = each(&mut loading);
            loading.finish();
            self.ids = noting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done
        })
    }
}

impl Loading<'_> {
    /// As [`Index::insert`]; found only when all are in.
    pub(in super::super) fn insert(&mut self, id: u32, labels: &[(&str, &str)]) {
        let mut shared = Vec::with_capacity(labels.len());
        for (at, (name, value)) in labels.iter().enumerate() {
            let same = |run: &Run| *run.label.value == **value && *run.label.name == **name;
            if !self.runs.get(at).is_some_and(same) {
                let run = Run { label: self.index.share(name, value), ids: Vec::new() };
                match self.runs.get_mut(at) {
                    Some(place) => {
                        let done = std::mem::replace(place, run);
                        self.index.post_all(&done.label, &done.ids);
                    }
                    None => self.runs.push(run),
                }
            }
            if let Some(run) = self.runs.get_mut(at) {
                run.ids.push(id);
                shared.push(run.label.clone());
            }
        }
        let labels: Labels = shared.into_iter().collect();
        self.part.push((labels.clone(), id));
        if self.part.len() >= PART {
            self.hand_over();
        }
        self.index.put(id, labels);
    }

    fn hand_over(&mut self) {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        // It fails only when the other thread panicked, which goes on where it is joined.
        let _ = self.named.send(part);
    }

    fn finish(mut self) {
        self.hand_over();
        for run in self.runs {
            self.index.post_all(&run.label, &run.ids);
        }
    }
}

impl Index {
    /// These series, by ascending number, have the label.
    fn post_all(&mut self, label: &Label, more: &[u32]) {
        let values = self.postings.get_mut(&label.name);
        let Some(ids) = values.and_then(|values| values.get_mut(&*label.value)) else { return };
        // Other series may have had the label in another place meanwhile.
        let Some(first) = more.first() else { return };
        let mut after = ids.split_off(ids.partition_point(|id| id < first));
        if !after.is_empty() {
            after.extend_from_slice(more);
            after.sort_unstable();
            after.dedup();
            ids.extend(after);
            return;
        }
        ids.extend_from_slice(more);
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_promql::Matchers;

    use super::*;

    #[test]
    fn many_at_once_are_found_as_one_by_one() {
        let all: Vec<(u32, Labels)> = (1..=90u32)
            .filter(|id| id % 11 != 3)
            .map(|id| {
                let (device, rack) = (format!("d-{}", id / 5), format!("r-{}", id / 20));
                let number = id.to_string();
                // Without a name of its own before it, a label stands in another place.
                let area = if id % 7 == 0 { "a" } else { "" };
                let name = if id % 2 == 0 { "power_watts" } else { "up" };
                let rest = [("device", &*device), ("n", &*number), ("rack", &*rack)];
                (id, Labels::metric(name, [("area", area)].into_iter().chain(rest)))
            })
            .collect();
        let (mut one_by_one, mut at_once) = (Index::default(), Index::default());
        at_once.load(90, |loading| {
            for (id, labels) in &all {
                let pairs: Vec<(&str, &str)> =
                    labels.iter().map(|label| (&*label.name, &*label.value)).collect();
                one_by_one.insert(*id, pairs.iter().copied());
                loading.insert(*id, &pairs);
            }
        });
        for text in [
            r#"{device=~".+"}"#,
            r#"up{rack="r-1"}"#,
            r#"{area="a"}"#,
            r#"{area!="a",device=~"d-[1-9]"}"#,
            r#"{rack="r-4",__name__!="up"}"#,
        ] {
            let matchers = Matchers::parse(text).unwrap();
            let ids = |index: &Index| -> Vec<u32> {
                index.select(&matchers).iter().map(|series| series.id).collect()
            };
            assert!(!ids(&one_by_one).is_empty(), "{text}");
            assert_eq!(ids(&at_once), ids(&one_by_one), "{text}");
        }
        assert_eq!(at_once.len(), one_by_one.len());
        assert_eq!(at_once.next_id(), one_by_one.next_id());
        for (id, labels) in &all {
            assert_eq!(at_once.id(labels), Some(*id));
        }
        assert_eq!(at_once.label_values("rack"), one_by_one.label_values("rack"));
    }
}
