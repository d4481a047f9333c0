//! The store, with what this evaluation has already written: a rule sees what the rules before it
//! have recorded.

use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Sample};
use hallwatch_promql::{Select, Series, Source, SourceError};

pub(super) struct Overlay<'s> {
    pub(super) below: &'s dyn Source,
    pub(super) fresh: Vec<(Labels, Sample)>,
}

impl Source for Overlay<'_> {
    fn select(&self, request: &Select<'_>) -> Result<Vec<Series>, SourceError> {
        let mut found = self.below.select(request)?;
        let within = |sample: &Sample| (request.start..=request.end).contains(&sample.time);
        for (labels, sample) in &self.fresh {
            if !within(sample) || !request.matchers.matches(labels) {
                continue;
            }
            let (time, value) = (sample.time.as_millis(), to_float(sample.value));
            match found.iter_mut().find(|series| series.labels == *labels) {
                Some(series) => match series.times.binary_search(&time) {
                    Ok(at) => {
                        if let Some(old) = series.values.get_mut(at) {
                            *old = value;
                        }
                    }
                    Err(at) => {
                        series.times.insert(at, time);
                        series.values.insert(at, value);
                    }
                },
                None => found.push(Series {
                    labels: labels.clone(),
                    times: vec![time],
                    values: vec![value],
                }),
            }
        }
        Ok(found)
    }
}
