//! From the numbers that a store gives its series to the handles of an engine: labels are looked at
//! once for each series.

use hallwatch_model::{Labels, Timestamp};

use super::{Handle, PushEngine, Pushed};

/// The series of one store in one engine. 8 bytes for each number of a series, and 24 for each
/// sample of the largest batch.
#[derive(Debug, Default)]
pub struct Feed {
    /// By the number.
    handles: Vec<Option<Handle>>,
    batch: Vec<Pushed>,
}

impl Feed {
    /// The samples for the engine. `labels` gives those of a series that is not known yet; samples
    /// of one that has none are left out. A number has to stay with its series.
    pub fn resolve(
        &mut self,
        engine: &mut PushEngine,
        points: impl IntoIterator<Item = (u32, Timestamp, f64)>,
        mut labels: impl FnMut(u32) -> Option<Labels>,
    ) -> &[Pushed] {
        self.batch.clear();
        for (series, time, value) in points {
            let at = series as usize;
            let known = self.handles.get(at).copied().flatten();
            let handle = match known.filter(|handle| engine.is_valid(*handle)) {
                Some(known) => known,
                None => {
                    let Some(labels) = labels(series) else { continue };
                    let handle = engine.meet(&labels);
                    if self.handles.len() <= at {
                        self.handles.resize(at + 1, None);
                    }
                    if let Some(place) = self.handles.get_mut(at) {
                        *place = Some(handle);
                    }
                    handle
                }
            };
            self.batch.push(Pushed { handle, time, value });
        }
        &self.batch
    }
}
