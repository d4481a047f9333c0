//! What operators and series take of memory.

/// Bytes, roughly: what is held for labels that are shared with others is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Series that are read.
    pub series: usize,
    /// Samples kept for windows and offsets.
    pub samples: usize,
    /// Bytes of series and samples.
    pub series_bytes: usize,
    /// Operators.
    pub operators: usize,
    /// Rows of all operators.
    pub rows: usize,
    /// Bytes of operators and rows.
    pub operator_bytes: usize,
    /// Timers that run.
    pub timers: usize,
}

impl Memory {
    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.series_bytes + self.operator_bytes
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            series: self.series + other.series,
            samples: self.samples + other.samples,
            series_bytes: self.series_bytes + other.series_bytes,
            operators: self.operators + other.operators,
            rows: self.rows + other.rows,
            operator_bytes: self.operator_bytes + other.operator_bytes,
            timers: self.timers + other.timers,
        }
    }
}
