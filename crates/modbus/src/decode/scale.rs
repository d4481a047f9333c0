//! Factors that stay exact.

/// A factor that divides where that is exact: 3 × 0.1 is 0.30000000000000004, 3 ÷ 10 is 0.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    multiply: f64,
    divide: f64,
}

impl Scale {
    /// No change.
    pub const ONE: Self = Self { multiply: 1.0, divide: 1.0 };

    /// The factor `factor`. When it is the float nearest to 1/n for a whole n, values are divided
    /// by n.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        let divide = (1.0 / factor).round();
        #[expect(clippy::float_cmp, reason = "exactly the nearest float, or not")]
        if factor.abs() < 1.0 && divide.is_finite() && 1.0 / divide == factor {
            Self { multiply: 1.0, divide }
        } else {
            Self { multiply: factor, divide: 1.0 }
        }
    }

    /// `number` times the factor.
    #[must_use]
    pub fn apply(self, number: f64) -> f64 {
        number * self.multiply / self.divide
    }

    /// `number` times the factor times a power of ten, divided where that is exact.
    pub(super) fn apply_with(self, number: f64, exponent: i32) -> f64 {
        let scaled = self.apply(number);
        let power = 10f64.powi(exponent.abs());
        if exponent < 0 { scaled / power } else { scaled * power }
    }
}
