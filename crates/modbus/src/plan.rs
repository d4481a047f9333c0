//! Which reads cover which points: a pure function from points and limits to the fewest reads.

use thiserror::Error;

use crate::request::{Read, ReadError, Table};

/// The addresses of one point, which are always read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The table.
    pub table: Table,
    /// The first address, zero-based as on the wire.
    pub address: u16,
    /// How many registers or bits, at least 1.
    pub width: u16,
}

impl Span {
    pub(crate) fn start(self) -> u32 {
        u32::from(self.address)
    }

    pub(crate) fn end(self) -> u32 {
        self.start() + u32::from(self.width)
    }
}

/// What a device allows in one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most registers, 1 to 125.
    pub registers: u16,
    /// Most coils or discrete inputs, 1 to 2000.
    pub bits: u16,
    /// Most addresses between two points that may be read along without need.
    pub hole: u16,
    /// Addresses before which a read has to end: a read that contains `(table, n)` does not
    /// contain `n - 1`.
    pub barriers: Vec<(Table, u16)>,
    /// Addresses that the device refuses: no read contains one.
    pub forbidden: Vec<Hole>,
}

/// Consecutive addresses of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hole {
    /// The table.
    pub table: Table,
    /// The first address, zero-based as on the wire.
    pub first: u16,
    /// The last address.
    pub last: u16,
}

impl Hole {
    /// Whether it has an address in common with `span`.
    #[must_use]
    pub fn meets(self, span: Span) -> bool {
        self.table == span.table
            && span.start() <= u32::from(self.last)
            && u32::from(self.first) < span.end()
    }
}

impl Default for Limits {
    /// What the protocol allows, without holes.
    fn default() -> Self {
        use crate::request::{MAX_BITS, MAX_REGISTERS};
        Self {
            registers: MAX_REGISTERS,
            bits: MAX_BITS,
            hole: 0,
            barriers: Vec::new(),
            forbidden: Vec::new(),
        }
    }
}

/// Where a point stands in the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The index of the read.
    pub read: usize,
    /// The first register or bit in its answer.
    pub offset: usize,
    /// How many registers or bits.
    pub width: usize,
}

/// The fewest reads that cover all points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The reads, by table and address.
    pub reads: Vec<Read>,
    /// For each point, in the order given, where it stands.
    pub places: Vec<Place>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The point alone is no possible read.
    #[error("point {index} cannot be read")]
    Span {
        /// The point's place in the list.
        index: usize,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The point is wider than what the device gives in one read.
    #[error("point {index} has {width} addresses, the device gives {limit} in one read")]
    Width {
        /// The point's place in the list.
        index: usize,
        /// Its width.
        width: u16,
        /// The limit.
        limit: u16,
    },
    /// The point lies across a barrier.
    #[error("point {index} lies across the barrier at address {barrier}")]
    Barrier {
        /// The point's place in the list.
        index: usize,
        /// The barrier.
        barrier: u16,
    },
    /// The device refuses some of the point's addresses.
    #[error("point {index} has addresses that the device refuses")]
    Forbidden {
        /// The point's place in the list.
        index: usize,
    },
}

/// Covers every one of `points` with exactly one read, with as few reads as `limits` allow.
///
/// Points are taken by table and address, and a read is closed at the first point that does not
/// fit. That is the minimum: what keeps a point out (the length, a hole, a barrier, a forbidden address) also keeps it
/// out of every read that begins earlier, and a read that begins later reaches at least as far.
///
/// # Errors
/// When a point alone does not fit into a read.
pub fn plan(points: &[Span], limits: &Limits) -> Result<Plan, PlanError> {
    let mut order: Vec<(Span, usize)> = points.iter().copied().zip(0..).collect();
    for (span, index) in &order {
        check(*span, *index, limits)?;
    }
    order.sort_unstable();

    let mut groups: Vec<(Open, Vec<(usize, u32)>)> = Vec::new();
    for (span, index) in order {
        let fits = groups.last().is_some_and(|(open, _)| open.fits(span, limits));
        if !fits {
            let open = Open { table: span.table, start: span.start(), end: span.end() };
            groups.push((open, Vec::new()));
        }
        if let Some((open, members)) = groups.last_mut() {
            open.end = open.end.max(span.end());
            members.push((index, span.start() - open.start));
        }
    }

    let mut reads = Vec::with_capacity(groups.len());
    let mut places: Vec<(usize, Place)> = Vec::with_capacity(points.len());
    for (open, members) in groups {
        for (index, offset) in members {
            let width = points.get(index).map_or(0, |span| usize::from(span.width));
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            places.push((index, Place { read: reads.len(), offset, width }));
        }
        reads.push(open.read()?);
    }
    places.sort_unstable_by_key(|(index, _)| *index);
    Ok(Plan { reads, places: places.into_iter().map(|(_, place)| place).collect() })
}

fn check(span: Span, index: usize, limits: &Limits) -> Result<(), PlanError> {
    Read::new(span.table, span.address, span.width)
        .map_err(|source| PlanError::Span { index, source })?;
    let limit = limit(span.table, limits);
    if span.width > limit {
        return Err(PlanError::Width { index, width: span.width, limit });
    }
    if limits.forbidden.iter().any(|hole| hole.meets(span)) {
        return Err(PlanError::Forbidden { index });
    }
    match barrier_within(span.table, span.start(), span.end(), limits) {
        Some(barrier) => Err(PlanError::Barrier { index, barrier }),
        None => Ok(()),
    }
}

fn limit(table: Table, limits: &Limits) -> u16 {
    if table.is_bits() { limits.bits } else { limits.registers }.min(table.max_count())
}

fn barrier_within(table: Table, start: u32, end: u32, limits: &Limits) -> Option<u16> {
    limits.barriers.iter().copied().find_map(|(barred, at)| {
        (barred == table && start < u32::from(at) && u32::from(at) < end).then_some(at)
    })
}

/// A read that may still grow.
struct Open {
    table: Table,
    start: u32,
    end: u32,
}

impl Open {
    fn fits(&self, span: Span, limits: &Limits) -> bool {
        let end = self.end.max(span.end());
        self.table == span.table
            && end - self.start <= u32::from(limit(span.table, limits))
            && span.start() <= self.end + u32::from(limits.hole)
            && barrier_within(self.table, self.start, end, limits).is_none()
            && !limits.forbidden.iter().any(|hole| {
                hole.table == self.table
                    && self.start <= u32::from(hole.last)
                    && u32::from(hole.first) < end
            })
    }

    fn read(&self) -> Result<Read, PlanError> {
        let address = u16::try_from(self.start).unwrap_or(u16::MAX);
        let count = u16::try_from(self.end - self.start).unwrap_or(u16::MAX);
        Read::new(self.table, address, count).map_err(|source| PlanError::Span { index: 0, source })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(address: u16, width: u16) -> Span {
        Span { table: Table::HoldingRegisters, address, width }
    }

    fn reads(points: &[Span], limits: &Limits) -> Vec<(u16, u16)> {
        let plan = plan(points, limits).unwrap();
        plan.reads.iter().map(|read| (read.address(), read.count())).collect()
    }

    #[test]
    fn each_limit_ends_a_read() {
        let limits = |registers, hole, barriers: &[u16]| Limits {
            registers,
            hole,
            barriers: barriers.iter().map(|at| (Table::HoldingRegisters, *at)).collect(),
            ..Limits::default()
        };
        let points = [span(10, 2), span(0, 2), span(2, 1), span(4, 2), span(3, 1)];
        type Case = (&'static str, Limits, &'static [(u16, u16)]);
        let cases: [Case; 6] = [
            ("no hole", limits(125, 0, &[]), &[(0, 6), (10, 2)]),
            ("a hole of three", limits(125, 3, &[]), &[(0, 6), (10, 2)]),
            ("a hole of four", limits(125, 4, &[]), &[(0, 12)]),
            ("whole values", limits(5, 0, &[]), &[(0, 4), (4, 2), (10, 2)]),
            ("length", limits(11, 9, &[]), &[(0, 6), (10, 2)]),
            ("barriers", limits(125, 9, &[3, 8]), &[(0, 3), (3, 3), (10, 2)]),
        ];
        for (name, limits, expected) in cases {
            assert_eq!(reads(&points, &limits), expected, "{name}");
        }
        let hole = |first, last| Hole { table: Table::HoldingRegisters, first, last };
        let coils = Hole { table: Table::Coils, first: 0, last: 99 };
        let forbidden = |holes| Limits { forbidden: holes, ..limits(125, 9, &[]) };
        assert_eq!(reads(&points, &forbidden(vec![hole(7, 7)])), [(0, 6), (10, 2)]);
        assert_eq!(reads(&points, &forbidden(vec![hole(12, 20), coils])), [(0, 12)]);
        assert_eq!(
            plan(&points, &forbidden(vec![hole(11, 11)])),
            Err(PlanError::Forbidden { index: 0 })
        );
        assert_eq!(reads(&[], &Limits::default()), []);
        assert_eq!(reads(&[span(65534, 2)], &Limits::default()), [(65534, 2)]);
    }

    #[test]
    fn tables_are_apart_and_places_are_in_the_order_of_the_points() {
        let coil = Span { table: Table::Coils, address: 7, width: 1 };
        let plan = plan(&[span(5, 1), coil, span(4, 1), span(5, 1)], &Limits::default()).unwrap();
        assert_eq!(plan.reads.len(), 2);
        let places: Vec<_> = plan.places.iter().map(|place| (place.read, place.offset)).collect();
        assert_eq!(places, [(1, 1), (0, 0), (1, 0), (1, 1)]);
    }

    #[test]
    fn says_which_point_cannot_be_read() {
        let limits = Limits { registers: 4, ..Limits::default() };
        let barred = Limits { barriers: vec![(Table::HoldingRegisters, 9)], ..limits.clone() };
        assert!(matches!(
            plan(&[span(0, 1), span(65535, 2)], &limits),
            Err(PlanError::Span { index: 1, source: ReadError::End { .. } })
        ));
        assert!(matches!(
            plan(&[span(0, 5)], &limits),
            Err(PlanError::Width { index: 0, width: 5, limit: 4 })
        ));
        assert!(matches!(
            plan(&[span(8, 2)], &barred),
            Err(PlanError::Barrier { index: 0, barrier: 9 })
        ));
    }

    /// Whether one read can cover exactly these points, said in another way than the planner's:
    /// address by address.
    fn one_read(points: &[Span], limits: &Limits) -> bool {
        let low = points.iter().map(|p| p.address).min().unwrap();
        let high = points.iter().map(|p| p.address + p.width).max().unwrap();
        let wanted =
            |at: u16| points.iter().any(|p| (p.address..p.address + p.width).contains(&at));
        let mut hole = 0;
        for at in low..high {
            hole = if wanted(at) { 0 } else { hole + 1 };
            let barred = limits.barriers.contains(&(Table::HoldingRegisters, at));
            let refused = limits.forbidden.iter().any(|no| (no.first..=no.last).contains(&at));
            if hole > limits.hole || (at > low && barred) || refused {
                return false;
            }
        }
        high - low <= limits.registers
    }

    /// The fewest reads over all ways to put the points into sets.
    fn fewest(points: &[Span], sets: &mut Vec<Vec<Span>>, limits: &Limits) -> usize {
        let Some((first, rest)) = points.split_first() else {
            let possible = sets.iter().all(|set| one_read(set, limits));
            return if possible { sets.len() } else { usize::MAX };
        };
        let mut best = usize::MAX;
        for at in 0..sets.len() {
            sets[at].push(*first);
            best = best.min(fewest(rest, sets, limits));
            sets[at].pop();
        }
        sets.push(vec![*first]);
        best = best.min(fewest(rest, sets, limits));
        sets.pop();
        best
    }

    prop_compose! {
        fn any_limits()(
            registers in 4..12u16,
            hole in 0..5u16,
            barriers in prop::collection::vec(0..30u16, 0..3),
            forbidden in prop::collection::vec((0..30u16, 0..4u16), 0..3),
        ) -> Limits {
            let refused = |(first, more)| Hole { table: Table::HoldingRegisters, first, last: first + more };
            let forbidden = forbidden.into_iter().map(refused).collect();
            let barriers = barriers.into_iter().map(|at| (Table::HoldingRegisters, at)).collect();
            Limits { registers, hole, barriers, forbidden, ..Limits::default() }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn no_other_plan_has_fewer_reads(
            points in prop::collection::vec((0..28u16, 1..=4u16), 1..=7),
            limits in any_limits(),
        ) {
            let points: Vec<Span> = points
                .into_iter()
                .map(|(address, width)| span(address, width))
                .filter(|point| one_read(&[*point], &limits))
                .collect();
            let plan = plan(&points, &limits).unwrap();
            prop_assert_eq!(plan.reads.len(), fewest(&points, &mut Vec::new(), &limits));
        }

        #[test]
        fn every_point_stands_where_the_plan_says(
            points in prop::collection::vec((0..4usize, 0..2000u16, 1..=20u16), 0..60),
            registers in 20..=125u16,
            hole in 0..40u16,
            barriers in prop::collection::vec((0..4usize, 0..2000u16), 0..4),
        ) {
            let barriers: Vec<_> =
                barriers.into_iter().map(|(table, at)| (Table::ALL[table], at)).collect();
            let limits = Limits { registers, bits: 150, hole, barriers, forbidden: Vec::new() };
            let points: Vec<Span> = points
                .into_iter()
                .map(|(table, address, width)| Span { table: Table::ALL[table], address, width })
                .filter(|p| {
                    let crossed = |at| p.address < at && at < p.address + p.width;
                    !limits.barriers.iter().any(|(table, at)| *table == p.table && crossed(*at))
                })
                .collect();
            let plan = plan(&points, &limits).unwrap();
            prop_assert_eq!(plan.places.len(), points.len());
            for (point, place) in points.iter().zip(&plan.places) {
                let read = plan.reads[place.read];
                prop_assert_eq!(read.table(), point.table);
                prop_assert_eq!(usize::from(read.address()) + place.offset, usize::from(point.address));
                prop_assert!(place.offset + place.width <= usize::from(read.count()));
                prop_assert_eq!(place.width, usize::from(point.width));
            }
            for read in &plan.reads {
                let most = if read.table().is_bits() { 150 } else { registers };
                prop_assert!(read.count() <= most);
                let inside = read.address() + 1..read.address() + read.count();
                prop_assert!(!limits.barriers.iter().any(|(t, at)| *t == read.table() && inside.contains(at)));
            }
        }
    }
}
