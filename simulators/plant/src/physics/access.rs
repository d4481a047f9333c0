//! The hall's door: its contact, its badge reader, and the people who come and go.

use crate::noise::Dice;

/// Badge holders: user name, card number, may enter.
const PEOPLE: [(&str, &str, bool); 6] = [
    ("n.meyer", "04a1b2c3d4", true),
    ("j.okafor", "04a1b2c3e7", true),
    ("s.lindqvist", "04a1b2c40b", true),
    ("r.tanaka", "04a1b2c52f", true),
    ("facility.cleaning", "04a1b2c6aa", true),
    ("p.former", "04a1b2c701", false),
];
/// Mean time between two visits, in seconds.
const VISIT_SECONDS: f64 = 900.0;
/// Share of visitors that hold up a card nobody knows.
const STRANGERS: f64 = 0.05;

/// What the reader decided about one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swipe {
    /// The holder; none for an unknown card.
    pub person: Option<&'static str>,
    /// The card's number.
    pub card: String,
    /// The door was released.
    pub granted: bool,
}

/// What acts on the door during one step.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) forced: bool,
    pub(super) held: bool,
    pub(super) burst: bool,
}

/// Door, reader and visitors.
#[derive(Clone, Debug)]
pub struct Access {
    open: bool,
    next_visit: f64,
    opens_in: Option<f64>,
    closes_in: Option<f64>,
    held: bool,
    next_denied: f64,
    granted: u64,
    denied: u64,
}

impl Access {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            open: false,
            next_visit: dice.between(60.0, VISIT_SECONDS),
            opens_in: None,
            closes_in: None,
            held: false,
            next_denied: 0.0,
            granted: 0,
            denied: 0,
        }
    }

    /// Moves on and returns what the reader saw meanwhile.
    pub(super) fn step(&mut self, h: f64, inputs: &Inputs, dice: &mut Dice) -> Vec<Swipe> {
        let mut swipes = Vec::new();
        self.next_visit -= h;
        if self.next_visit <= 0.0 {
            // Waiting times of independent visits are exponential.
            self.next_visit = (-VISIT_SECONDS * (1.0 - dice.unit()).ln()).clamp(20.0, 7_200.0);
            swipes.push(self.visit(dice));
        }
        // Somebody enters with a good card, and then the door stays open.
        if inputs.held && !self.held {
            let (person, card, _) = PEOPLE[dice.index(5)];
            swipes.push(self.decide(Some(person), card.to_owned(), true));
        }
        self.held = inputs.held;
        if inputs.burst {
            self.next_denied -= h;
            if self.next_denied <= 0.0 {
                self.next_denied = dice.between(2.0, 4.0);
                swipes.push(self.stranger(dice));
            }
        } else {
            self.next_denied = 0.0;
        }
        self.door(h, inputs, dice);
        swipes
    }

    fn visit(&mut self, dice: &mut Dice) -> Swipe {
        if dice.hits(STRANGERS) {
            return self.stranger(dice);
        }
        let (person, card, allowed) = PEOPLE[dice.index(PEOPLE.len())];
        self.decide(Some(person), card.to_owned(), allowed)
    }

    fn stranger(&mut self, dice: &mut Dice) -> Swipe {
        let card = format!("04{:08x}", dice.bits() & 0xffff_ffff);
        self.decide(None, card, false)
    }

    fn decide(&mut self, person: Option<&'static str>, card: String, granted: bool) -> Swipe {
        if granted {
            self.granted += 1;
            self.opens_in = Some(1.5);
        } else {
            self.denied += 1;
        }
        Swipe { person, card, granted }
    }

    fn door(&mut self, h: f64, inputs: &Inputs, dice: &mut Dice) {
        if elapse(&mut self.opens_in, h) {
            self.open = true;
            self.closes_in = Some(dice.between(4.0, 9.0));
        }
        if inputs.forced {
            self.open = true;
            self.closes_in = Some(1.0);
        }
        if !inputs.held && elapse(&mut self.closes_in, h) {
            self.open = false;
        }
    }

    /// The leaf is open.
    #[must_use]
    pub const fn door_open(&self) -> bool {
        self.open
    }

    /// Cards granted since the start.
    #[must_use]
    pub const fn granted(&self) -> u64 {
        self.granted
    }

    /// Cards denied since the start.
    #[must_use]
    pub const fn denied(&self) -> u64 {
        self.denied
    }
}

/// Counts a timer down; true, once, when it is over.
fn elapse(timer: &mut Option<f64>, h: f64) -> bool {
    if let Some(left) = timer {
        *left -= h;
        if *left <= 0.0 {
            *timer = None;
            return true;
        }
    }
    false
}
