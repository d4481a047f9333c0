//! What is done to a scaled number.

/// What happens to a number after scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Function {
    /// Nothing.
    #[default]
    None,
    /// Its sign is dropped.
    Absolute,
    /// It is in degrees Fahrenheit and becomes degrees Celsius.
    Fahrenheit,
    /// A power factor of four quadrants in one number from -2 to 2: beyond 1 it is 2 less the
    /// power factor, below -1 it is -2 less it (a leading current). The result has the sign of the
    /// active power.
    FourQuadrantPowerFactor,
}

impl Function {
    pub(super) fn apply(self, number: f64) -> f64 {
        match self {
            Self::None => number,
            Self::Absolute => number.abs(),
            Self::Fahrenheit => (number - 32.0) * 5.0 / 9.0,
            Self::FourQuadrantPowerFactor if number > 1.0 => 2.0 - number,
            Self::FourQuadrantPowerFactor if number < -1.0 => -2.0 - number,
            Self::FourQuadrantPowerFactor => number,
        }
    }
}
