//! Which addresses a device refuses: a read that is refused is split until that is known. A state
//! machine without input or output.

use crate::plan::{Hole, Limits, Span};
use crate::request::{Read, Table};

/// The exception by which devices usually refuse an address.
pub const ILLEGAL_ADDRESS: u8 = 2;

/// Addresses that a device does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refusal {
    /// Which.
    pub hole: Hole,
    /// The exception by which it refuses them.
    pub code: u8,
}

/// What a device does not give: plain data, to be kept and handed to the planner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Addresses that no read may contain.
    pub forbidden: Vec<Refusal>,
    /// Addresses before which a read has to end although there is no address between: devices
    /// exist that give two blocks only one by one.
    pub barriers: Vec<(Table, u16)>,
}

impl Refused {
    /// Adds them to what the planner has to keep to.
    pub fn limit(&self, limits: &mut Limits) {
        limits.forbidden.extend(self.forbidden.iter().map(|refusal| refusal.hole));
        limits.barriers.extend(&self.barriers);
    }

    /// Whether nothing is refused.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.forbidden.is_empty() && self.barriers.is_empty()
    }
}

/// Consecutive pieces, by their first and last index, that the device gives in one read.
type Run = (usize, usize);

#[derive(Clone, Copy, Debug)]
enum Task {
    /// Find out which of these pieces the device gives.
    Solve(Run),
    /// Both halves are solved; find out whether what ends before the seam and what begins after
    /// it can be read together. The whole is known to be refused by an exception with this code.
    Join { whole: Run, seam: usize, code: u8 },
}

/// The search in one read that was refused.
///
/// Values are never split: a device may well refuse half of one. What stands between two points
/// is not asked for; when two parts are given and the whole is not, what lies between is to blame.
#[derive(Clone, Debug)]
pub struct Search {
    table: Table,
    /// First address and address behind the last, in order and apart.
    pieces: Vec<(u32, u32)>,
    codes: Vec<u8>,
    tasks: Vec<Task>,
    solved: Vec<Vec<Run>>,
    found: Refused,
}

impl Search {
    /// The search in `read`, which the device has refused by the exception `code` and which was
    /// made for `points`. `codes` are the exceptions that count as a refusal: [`ILLEGAL_ADDRESS`],
    /// on some devices also 3 or 4.
    #[must_use]
    pub fn new(read: Read, code: u8, points: &[Span], codes: &[u8]) -> Self {
        let (first, end) =
            (u32::from(read.address()), u32::from(read.address()) + u32::from(read.count()));
        let mut spans: Vec<(u32, u32)> = points
            .iter()
            .filter(|point| point.table == read.table() && point.width > 0)
            .map(|point| (point.start(), point.end()))
            .filter(|(start, stop)| *start >= first && *stop <= end)
            .collect();
        spans.sort_unstable();
        let mut pieces: Vec<(u32, u32)> = Vec::new();
        for (start, stop) in spans {
            match pieces.last_mut() {
                Some((_, before)) if start < *before => *before = stop.max(*before),
                _ => pieces.push((start, stop)),
            }
        }
        let table = read.table();
        let codes = codes.to_vec();
        let (solved, found) = (Vec::new(), Refused::default());
        let mut search = Self { table, pieces, codes, tasks: Vec::new(), solved, found };
        if let Some(last) = search.pieces.len().checked_sub(1) {
            search.split((0, last), code);
            search.settle();
        }
        search
    }

    /// What to read next; none when all is known.
    #[must_use]
    pub fn read(&self) -> Option<Read> {
        let (first, last) = match *self.tasks.last()? {
            Task::Solve(run) => run,
            Task::Join { seam, .. } => self.across(seam)?,
        };
        let (start, _) = *self.pieces.get(first)?;
        let (_, end) = *self.pieces.get(last)?;
        let (address, count) = (u16::try_from(start).ok()?, u16::try_from(end - start).ok()?);
        Read::new(self.table, address, count).ok()
    }

    /// Goes on with the outcome of that read: an answer, or the code of an exception. Returns
    /// whether it was of use; otherwise, as without any answer, the same is to be asked again
    /// later.
    pub fn answered(&mut self, outcome: Result<(), u8>) -> bool {
        let refused = match outcome {
            Ok(()) => None,
            Err(code) if self.codes.contains(&code) => Some(code),
            Err(_) => return false,
        };
        match (self.tasks.pop(), refused) {
            (Some(Task::Solve(run)), Some(code)) => self.split(run, code),
            (Some(Task::Solve(run)), None) => self.solved.push(vec![run]),
            (Some(Task::Join { seam, .. }), refused) => self.join(seam, refused),
            (None, _) => return false,
        }
        self.settle();
        true
    }

    /// What has been found, when [`Search::read`] has nothing more.
    #[must_use]
    pub fn finish(self) -> Refused {
        self.found
    }

    /// These pieces are refused as a whole.
    fn split(&mut self, (first, last): Run, code: u8) {
        if first == last {
            if let Some((start, end)) = self.pieces.get(first).copied() {
                self.forbid(start, end, code);
            }
            self.solved.push(Vec::new());
            return;
        }
        let seam = first + (last - first) / 2;
        self.tasks.push(Task::Join { whole: (first, last), seam, code });
        self.tasks.push(Task::Solve((seam + 1, last)));
        self.tasks.push(Task::Solve((first, seam)));
    }

    /// Joins what needs no read.
    fn settle(&mut self) {
        while let Some(Task::Join { whole, seam, code }) = self.tasks.last().copied() {
            match self.across(seam) {
                Some(run) if run != whole => return,
                _ => {
                    self.tasks.pop();
                    self.join(seam, Some(code));
                }
            }
        }
    }

    /// The pieces around the seam that are given on either side of it.
    fn across(&self, seam: usize) -> Option<Run> {
        let [.., left, right] = self.solved.as_slice() else { return None };
        let (first, end) = left.last().copied()?;
        let (start, last) = right.first().copied()?;
        (end == seam && start == seam + 1).then_some((first, last))
    }

    fn join(&mut self, seam: usize, refused: Option<u8>) {
        let across = self.across(seam);
        let right = self.solved.pop().unwrap_or_default();
        let mut left = self.solved.pop().unwrap_or_default();
        let mut rest = right.into_iter();
        match (across, refused) {
            (Some(run), None) => {
                left.pop();
                rest.next();
                left.push(run);
            }
            (Some(_), Some(code)) => self.part(seam, code),
            (None, _) => {}
        }
        left.extend(rest);
        self.solved.push(left);
    }

    /// The pieces on both sides of the seam are not given together.
    fn part(&mut self, seam: usize, code: u8) {
        let pieces = (self.pieces.get(seam).copied(), self.pieces.get(seam + 1).copied());
        let (Some((_, end)), Some((start, _))) = pieces else { return };
        if end < start {
            self.forbid(end, start, code);
        } else if let Ok(at) = u16::try_from(start) {
            self.found.barriers.push((self.table, at));
        }
    }

    fn forbid(&mut self, start: u32, end: u32, code: u8) {
        if let (Ok(first), Ok(last)) = (u16::try_from(start), u16::try_from(end.saturating_sub(1)))
        {
            let hole = Hole { table: self.table, first, last };
            self.found.forbidden.push(Refusal { hole, code });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::plan;

    const TABLE: Table = Table::HoldingRegisters;

    fn span(address: u16, width: u16) -> Span {
        Span { table: TABLE, address, width }
    }

    /// A device that refuses some addresses, and reads across some others.
    #[derive(Debug)]
    struct Device {
        refused: Vec<u16>,
        blocks: Vec<u16>,
    }

    impl Device {
        fn read(&self, read: Read) -> Result<(), u8> {
            let range = read.address()..read.address() + read.count();
            let across = self.blocks.iter().any(|at| *at > range.start && range.contains(at));
            let refused = self.refused.iter().any(|at| range.contains(at));
            if across || refused { Err(ILLEGAL_ADDRESS) } else { Ok(()) }
        }
    }

    /// Plans, reads, searches where it is refused, and plans again, until nothing is refused.
    fn explore(device: &Device, points: &[Span], limits: &Limits) -> (Refused, usize, usize) {
        let mut all = Refused::default();
        let (mut asked, mut rounds) = (0, 0);
        loop {
            let mut limits = limits.clone();
            all.limit(&mut limits);
            let left: Vec<Span> = points
                .iter()
                .copied()
                .filter(|point| !all.forbidden.iter().any(|refusal| refusal.hole.meets(*point)))
                .collect();
            let refused: Vec<Read> = plan(&left, &limits)
                .unwrap()
                .reads
                .into_iter()
                .filter(|read| device.read(*read).is_err())
                .collect();
            if refused.is_empty() {
                return (all, asked, rounds);
            }
            rounds += 1;
            assert!(rounds < 20, "{all:?}");
            for read in refused {
                let mut search = Search::new(read, ILLEGAL_ADDRESS, &left, &[ILLEGAL_ADDRESS]);
                while let Some(read) = search.read() {
                    asked += 1;
                    assert!(search.answered(device.read(read)));
                }
                let found = search.finish();
                assert!(!found.is_empty());
                all.forbidden.extend(found.forbidden);
                all.barriers.extend(found.barriers);
            }
        }
    }

    fn refusal(first: u16, last: u16, code: u8) -> Refusal {
        Refusal { hole: Hole { table: TABLE, first, last }, code }
    }

    fn hole(first: u16, last: u16) -> Refusal {
        refusal(first, last, ILLEGAL_ADDRESS)
    }

    #[test]
    fn finds_points_gaps_and_blocks() {
        let limits = Limits { hole: 10, ..Limits::default() };
        let points: Vec<Span> = (0..16).map(|n| span(n * 4, 2)).collect();
        let device = |refused: &[u16], blocks: &[u16]| Device {
            refused: refused.to_vec(),
            blocks: blocks.to_vec(),
        };
        // A point, a gap between two points, both; a seam within a gap; points side by side.
        let cases = [
            (device(&[], &[]), vec![]),
            (device(&[21], &[]), vec![hole(20, 21)]),
            (device(&[22], &[]), vec![hole(22, 23)]),
            (device(&[20, 42, 43], &[]), vec![hole(20, 21), hole(42, 43)]),
            (device(&[], &[32]), vec![hole(30, 31)]),
        ];
        for (device, expected) in cases {
            let (mut found, asked, rounds) = explore(&device, &points, &limits);
            found.forbidden.sort_unstable();
            assert_eq!(found.forbidden, expected, "{device:?}");
            assert!(asked <= 20 && rounds <= 1, "{device:?}: {asked} reads in {rounds} rounds");
        }
        let beside = [span(0, 2), span(2, 2), span(4, 2)];
        let (found, ..) = explore(&device(&[], &[4]), &beside, &limits);
        assert_eq!((found.forbidden.len(), found.barriers), (0, vec![(TABLE, 4)]));
    }

    #[test]
    fn other_exceptions_say_nothing() {
        let read = Read::new(TABLE, 0, 4).unwrap();
        let points = [span(0, 2), span(2, 2)];
        let mut search = Search::new(read, ILLEGAL_ADDRESS, &points, &[ILLEGAL_ADDRESS]);
        let first = search.read();
        assert!(!search.answered(Err(6)) && !search.answered(Err(4)));
        assert_eq!(search.read(), first);
        let mut also = Search::new(read, ILLEGAL_ADDRESS, &points, &[ILLEGAL_ADDRESS, 4]);
        assert!(also.answered(Err(4)));
        assert!(also.answered(Ok(())));
        assert_eq!(also.read(), None);
        assert_eq!(also.finish().forbidden, [refusal(0, 1, 4)]);
        let nothing = Search::new(read, ILLEGAL_ADDRESS, &[], &[ILLEGAL_ADDRESS]);
        assert_eq!((nothing.read(), nothing.finish().is_empty()), (None, true));
    }

    #[test]
    fn what_is_refused_is_told_with_the_code_that_the_device_gave() {
        let read = Read::new(TABLE, 0, 8).unwrap();
        // One point alone; two of which the second is refused otherwise; a gap that is to blame.
        let alone = Search::new(read, 3, &[span(0, 8)], &[2, 3]);
        assert_eq!((alone.read(), alone.finish().forbidden), (None, vec![refusal(0, 7, 3)]));
        let points = [span(0, 2), span(4, 4)];
        let mut two = Search::new(read, 3, &points, &[2, 3]);
        assert!(two.answered(Err(3)) && two.answered(Err(2)));
        assert_eq!(two.finish().forbidden, [refusal(0, 1, 3), refusal(4, 7, 2)]);
        let mut gap = Search::new(read, 3, &points, &[2, 3]);
        assert!(gap.answered(Ok(())) && gap.answered(Ok(())));
        assert_eq!((gap.read(), gap.finish().forbidden), (None, vec![refusal(2, 3, 3)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn every_point_that_is_given_alone_is_read_in_the_end(
            points in prop::collection::vec((0..120u16, 1..=4u16), 1..40),
            refused in prop::collection::vec(0..130u16, 0..6),
            blocks in prop::collection::vec(0..130u16, 0..3),
            hole in 0..20u16,
        ) {
            let device = Device { refused, blocks };
            let points: Vec<Span> = points.into_iter().map(|(at, width)| span(at, width)).collect();
            let limits = Limits { hole, ..Limits::default() };
            let (found, ..) = explore(&device, &points, &limits);
            for point in &points {
                let given = device.read(Read::new(TABLE, point.address, point.width).unwrap()).is_ok();
                let lost = found.forbidden.iter().any(|refusal| refusal.hole.meets(*point));
                // Points that overlap one that is refused go with it: they are one piece.
                let overlaps = points.iter().any(|other| {
                    point != other
                        && point.start() < other.end()
                        && other.start() < point.end()
                });
                prop_assert!(given || lost, "{point:?} is refused and was not found");
                prop_assert!(!lost || !given || overlaps, "{point:?} is lost: {found:?}");
            }
        }
    }
}
