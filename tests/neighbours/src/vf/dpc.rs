//! The DPC: what the hardware's events left to do.

use ndis_host::ndis::api;
use ndis_host::sched;

use super::{News, Phase, SPEED, Vf};
use crate::nbl::lock;

impl Vf {
    /// At DISPATCH. One at a time: a second one leaves its work to the first.
    pub(super) fn run_dpc(&self) {
        if std::mem::replace(&mut lock(&self.state).in_dpc, true) {
            return;
        }
        loop {
            let news = {
                let mut state = lock(&self.state);
                if state.news.is_empty() || state.phase == Phase::Halted {
                    state.in_dpc = false;
                    return;
                }
                std::mem::take(&mut state.news)
            };
            self.serve(news);
        }
    }

    fn serve(&self, mut news: News) {
        if let Some(up) = news.link {
            self.tell_link(up);
        }
        if news.received {
            self.indicate_received();
        }
        // Some completions may wait for a later interrupt.
        if news.done.len() > 1 && sched::chance(4) {
            let first = sched::random_below(news.done.len() as u64) as usize;
            let later = news.done.split_off(first);
            self.put_off(later);
        }
        self.complete_sent(news.done);
        if news.room {
            self.feed_hardware();
        }
        self.finish_pause();
    }

    fn put_off(&self, done: std::collections::VecDeque<u64>) {
        {
            // What is done meanwhile comes after it.
            let mut state = lock(&self.state);
            state.delayed.extend(done);
        }
        let vf = self.this.clone();
        let longest = self.control.options().longest_delay_ns.max(1);
        sched::after(sched::random_below(longest), move || {
            if let Some(vf) = vf.upgrade() {
                {
                    let mut state = lock(&vf.state);
                    let delayed = std::mem::take(&mut state.delayed);
                    state.news.done.extend(delayed);
                }
                vf.ask_dpc();
            }
        });
    }

    fn tell_link(&self, up: bool) {
        // What is asleep tells it when it wakes up.
        let adapter = {
            let state = lock(&self.state);
            state.adapter.filter(|_| !state.asleep)
        };
        if let Some(adapter) = adapter {
            api::indicate_link(adapter, up, SPEED);
        }
    }
}
