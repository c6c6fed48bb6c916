//! The choice of who runs next.

use std::thread::Thread;

use super::baton::ContextId;
use super::machine::{Context, Core, State};

/// Something that can go on.
#[derive(Clone, Copy)]
pub(super) enum Candidate {
    /// This context can run.
    Context(ContextId),
    /// This CPU belongs to nobody and has work.
    Cpu(usize),
}

/// On whose stack the work of a CPU without owner runs.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Server {
    /// Always on that of the CPU's idle thread: the caller can go on itself.
    IdleThread,
    /// Mostly on the caller's, who waits.
    Caller,
}

impl Core {
    /// Picks one at random of all that can go on, `excluded` left out.
    pub(super) fn pick(&mut self, excluded: Option<ContextId>) -> Option<Candidate> {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let runnable = self
            .contexts
            .iter()
            .filter(|context| Some(context.id) != excluded && self.can_run(context))
            .map(|context| Candidate::Context(context.id));
        candidates.extend(runnable);
        let unserved = (0..self.cpus.len())
            .filter(|&cpu| self.cpus[cpu].owner.is_none() && self.cpus[cpu].has_work());
        candidates.extend(unserved.map(Candidate::Cpu));

        let chosen = match candidates.len() {
            0 => None,
            1 => Some(candidates[0]),
            count => Some(candidates[self.random_below(count as u64) as usize]),
        };
        self.candidates = candidates;
        chosen
    }

    fn can_run(&self, context: &Context) -> bool {
        match (context.state, context.cpu) {
            (State::Ready | State::Woken { .. }, Some(_)) => true,
            (State::Ready | State::Woken { .. }, None) => {
                self.free_cpus().any(|cpu| context.may_use(cpu))
            }
            (State::Spinning { .. }, Some(cpu)) => self.cpus[cpu].has_work(),
            _ => false,
        }
    }

    fn free_cpus(&self) -> impl Iterator<Item = usize> {
        (0..self.cpus.len()).filter(|&cpu| self.cpus[cpu].owner.is_none())
    }

    /// Whether a context may lend its stack to a CPU: idle threads serve their own only, and a
    /// context that spins keeps the CPU it has.
    fn is_free_to_serve(&mut self, id: ContextId) -> bool {
        let context = self.context(id);
        context.idles_on.is_none() && context.cpu.is_none()
    }

    /// Readies a candidate: gives it a CPU where it has none. Returns the context to switch to.
    pub(super) fn prepare(&mut self, candidate: Candidate, server: Server) -> ContextId {
        match candidate {
            Candidate::Context(id) => {
                if self.context(id).cpu.is_none() {
                    let cpu = self.random_free_cpu_for(id);
                    self.give_cpu(id, cpu);
                }
                id
            }
            Candidate::Cpu(cpu) => {
                let id = self.server_of(cpu, server);
                self.give_cpu(id, cpu);
                id
            }
        }
    }

    fn random_free_cpu_for(&mut self, id: ContextId) -> usize {
        let count = self.free_cpus_for(id).count() as u64;
        let chosen = self.random_below(count) as usize;
        let mut free = self.free_cpus_for(id);
        free.nth(chosen).expect("counted above")
    }

    /// The free CPUs that a context may use.
    pub(super) fn free_cpus_for(&self, id: ContextId) -> impl Iterator<Item = usize> {
        let context = self.position(id).map(|at| &self.contexts[at]);
        self.free_cpus()
            .filter(move |cpu| context.is_some_and(|context| context.may_use(*cpu)))
    }

    /// The context on whose stack the work of `cpu` is to run.
    fn server_of(&mut self, cpu: usize, server: Server) -> ContextId {
        let current = self.current;
        let one_in = self.settings.idle_one_in;
        if server == Server::Caller && self.is_free_to_serve(current) && !self.chance(one_in.into())
        {
            return current;
        }
        self.contexts
            .iter()
            .find(|context| context.idles_on == Some(cpu))
            .map(|context| context.id)
            .expect("every CPU has an idle thread")
    }

    /// Makes `id`, which has a CPU, the current context.
    pub(super) fn make_current(&mut self, id: ContextId) -> Thread {
        self.current = id;
        let context = self.context(id);
        let (cpu, thread) = (context.cpu, context.thread.clone());
        self.cpu = cpu.expect("who goes on has a CPU");
        thread
    }

    /// Jumps to the time of the next event or of the next wait that runs out; false if none.
    pub(super) fn jump_to_next_time(&mut self) -> bool {
        let deadlines = self
            .contexts
            .iter()
            .filter_map(|context| match context.state {
                State::Waiting { deadline, .. } => deadline,
                _ => None,
            });
        let next = deadlines.chain(self.world.next_time()).min();
        if let Some(next) = next {
            self.now = self.now.max(next);
        }
        next.is_some()
    }
}
