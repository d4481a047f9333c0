//! Memory for packed samples, in pieces of a cache line each: a series takes the next one when its
//! last is full, and what one gives back another takes. So nothing is copied when samples come, and
//! no room is kept for more of them.

/// Bytes of a segment: a line of the processor's caches.
pub(super) const LINE: usize = 64;
/// What leads it: which one is before it, and how many bytes of samples are in it.
const BEFORE: usize = size_of::<Place>();
const LEAD: usize = BEFORE + 1;
/// Segments that are allocated together: as many as a word has bits.
const TOGETHER: usize = 64;

/// Which segment; 0 is none.
pub(super) type Place = u32;

#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a>(&'a [u8; LINE]);

/// Segments, and room to begin them with a line. Memory that is asked for with its alignment leaves
/// holes: when it is given back, allocators such as glibc's do not use it for the next one, since
/// they look for more than it takes.
type Memory = [u8; TOGETHER * LINE + LINE - 1];

#[derive(Debug)]
struct Chunk {
    /// A bit for each segment that nobody has.
    free: u64,
    /// None when nobody has any.
    memory: Option<Box<Memory>>,
}

/// The segments of some series.
#[derive(Debug, Default)]
pub(in super::super) struct Segments {
    chunks: Vec<Chunk>,
    /// No chunk before this one has a free segment.
    hint: usize,
}

impl<'a> Segment<'a> {
    /// What is in it.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.0.get(LEAD..LEAD + usize::from(self.used())).unwrap_or_default()
    }

    pub(super) fn used(self) -> u8 {
        self.0[BEFORE]
    }

    pub(super) fn before(self) -> Place {
        let [a, b, c, d, ..] = *self.0;
        Place::from_le_bytes([a, b, c, d])
    }
}

/// Appends all of the bytes, or says that there is no room for them.
fn append(segment: &mut [u8; LINE], bytes: &[u8]) -> bool {
    let from = LEAD + usize::from(segment[BEFORE]);
    let Some(room) = segment.get_mut(from..from + bytes.len()) else { return false };
    room.copy_from_slice(bytes);
    segment[BEFORE] += bytes.len().to_le_bytes()[0];
    true
}

/// Where a segment begins: the first with the first line.
fn begin(memory: &Memory, at: usize) -> usize {
    memory.as_ptr().addr().wrapping_neg() % LINE + at % TOGETHER * LINE
}

impl Segments {
    pub(super) fn get(&self, place: Place) -> Option<Segment<'_>> {
        let at = (place as usize).checked_sub(1)?;
        let memory = self.chunks.get(at / TOGETHER)?.memory.as_ref()?;
        memory.get(begin(memory, at)..)?.first_chunk().map(Segment)
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut [u8; LINE]> {
        let at = (place as usize).checked_sub(1)?;
        let memory = self.chunks.get_mut(at / TOGETHER)?.memory.as_mut()?;
        let begin = begin(memory, at);
        memory.get_mut(begin..)?.first_chunk_mut()
    }

    /// Appends bytes that belong together, fewer than there is room for in a segment, to the
    /// segment `last`, or to a new one after it; gives the new one.
    pub(super) fn append(&mut self, last: Place, bytes: &[u8]) -> Option<Place> {
        if self.get_mut(last).is_some_and(|segment| append(segment, bytes)) {
            return None;
        }
        let place = self.take();
        if let Some(segment) = self.get_mut(place) {
            let [a, b, c, d] = last.to_le_bytes();
            segment[..LEAD].copy_from_slice(&[a, b, c, d, 0]);
            append(segment, bytes);
        }
        Some(place)
    }

    fn take(&mut self) -> Place {
        let found = self.chunks.iter().skip(self.hint).position(|chunk| chunk.free != 0);
        self.hint = found.map_or(self.chunks.len(), |at| self.hint + at);
        if found.is_none() {
            self.chunks.push(Chunk { free: u64::MAX, memory: None });
        }
        let Some(chunk) = self.chunks.get_mut(self.hint) else { return 0 };
        let at = chunk.free.trailing_zeros() as usize;
        chunk.free &= chunk.free - 1;
        chunk.memory.get_or_insert_with(|| Box::new([0; size_of::<Memory>()]));
        u32::try_from(self.hint * TOGETHER + at + 1).unwrap_or(0)
    }

    /// Takes back a segment and all before it.
    pub(super) fn give_back(&mut self, last: Place) {
        let mut place = last;
        while let Some(before) = self.get(place).map(Segment::before) {
            let at = place as usize - 1;
            let index = at / TOGETHER;
            if let Some(chunk) = self.chunks.get_mut(index) {
                chunk.free |= 1 << (at % TOGETHER);
                if chunk.free == u64::MAX {
                    chunk.memory = None;
                }
            }
            self.hint = self.hint.min(index);
            place = before;
        }
        while self.chunks.last().is_some_and(|chunk| chunk.memory.is_none()) {
            self.chunks.pop();
        }
    }

    /// Bytes that series have.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let taken = self.chunks.iter().map(|chunk| chunk.free.count_zeros() as usize);
        taken.sum::<usize>() * LINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut segments = Segments::default();
        let chain = |segments: &mut Segments, byte: u8| {
            let mut last = segments.append(0, &[byte; 50]).unwrap();
            for _ in 0..99 {
                assert_eq!(segments.append(last, &[byte; 9]), None);
                last = segments.append(last, &[byte; 50]).unwrap();
            }
            last
        };
        let read = |segments: &Segments, last: Place| {
            let (mut place, mut all) = (last, Vec::new());
            while let Some(segment) = segments.get(place) {
                all.extend_from_slice(segment.bytes());
                place = segment.before();
            }
            all
        };
        let (a, b) = (chain(&mut segments, 1), chain(&mut segments, 2));
        assert_eq!(segments.bytes(), 200 * 64);
        segments.give_back(a);
        assert_eq!(segments.bytes(), 100 * 64);
        let chunks = segments.chunks.len();
        let c = chain(&mut segments, 3);
        assert_eq!(segments.chunks.len(), chunks);
        assert_eq!(read(&segments, b), vec![2; 99 * 59 + 50]);
        assert_eq!(read(&segments, c), vec![3; 99 * 59 + 50]);
        segments.give_back(c);
        segments.give_back(b);
        assert_eq!((segments.bytes(), segments.chunks.len()), (0, 0));
        assert_eq!(segments.append(0, &[0; 60]), Some(1), "more than there is room for is lost");
    }
}
