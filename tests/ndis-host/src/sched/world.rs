//! World events: what happens outside the machine at a set virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Names a world event that has not happened yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u64);

/// Events by time; equal times keep the order in which they were set.
#[derive(Default)]
pub(super) struct World {
    queue: BinaryHeap<Reverse<(u64, EventId)>>,
    bodies: BTreeMap<EventId, Box<dyn FnOnce()>>,
    last: u64,
}

impl World {
    /// Adds an event.
    pub(super) fn insert(&mut self, time_ns: u64, body: Box<dyn FnOnce()>) -> EventId {
        self.last += 1;
        let id = EventId(self.last);
        self.bodies.insert(id, body);
        self.queue.push(Reverse((time_ns, id)));
        id
    }

    /// Takes an event back; `None` when it has happened or was taken back before.
    pub(super) fn remove(&mut self, id: EventId) -> Option<Box<dyn FnOnce()>> {
        let body = self.bodies.remove(&id);
        self.drop_removed();
        body
    }

    /// When the next event happens.
    pub(super) fn next_time(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((time, _))| *time)
    }

    /// Takes out the next event if it is due at `now`.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Box<dyn FnOnce()>> {
        if self.next_time()? > now {
            return None;
        }
        let Reverse((_, id)) = self.queue.pop()?;
        let body = self.bodies.remove(&id);
        self.drop_removed();
        body
    }

    /// Keeps the head of the queue an event that still has its body.
    fn drop_removed(&mut self) {
        while let Some(Reverse((_, id))) = self.queue.peek() {
            if self.bodies.contains_key(id) {
                break;
            }
            self.queue.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A world, and a way to add an event that writes its name into a log.
    fn logged() -> (World, Rc<RefCell<Vec<&'static str>>>) {
        (World::default(), Rc::default())
    }

    fn add(
        world: &mut World,
        log: &Rc<RefCell<Vec<&'static str>>>,
        at: u64,
        name: &'static str,
    ) -> EventId {
        let log = Rc::clone(log);
        world.insert(at, Box::new(move || log.borrow_mut().push(name)))
    }

    fn run_until(world: &mut World, now: u64) {
        while let Some(body) = world.take_due(now) {
            body();
        }
    }

    #[test]
    fn events_happen_in_order_of_time_and_then_of_insertion() {
        let (mut world, log) = logged();
        add(&mut world, &log, 20, "late");
        add(&mut world, &log, 10, "first");
        add(&mut world, &log, 10, "second");

        run_until(&mut world, 10);

        assert_eq!(*log.borrow(), ["first", "second"]);
        assert_eq!(world.next_time(), Some(20));
    }

    #[test]
    fn a_removed_event_neither_happens_nor_keeps_the_world_waiting() {
        let (mut world, log) = logged();
        let id = add(&mut world, &log, 10, "never");

        assert!(world.remove(id).is_some());
        assert!(world.remove(id).is_none());
        run_until(&mut world, 100);

        assert!(log.borrow().is_empty());
        assert_eq!(world.next_time(), None);
    }
}
