//! How many bytes of bodies are held at once: in all, for each client, and for bodies that are large.

use crate::client::site;
use ipnet::IpNet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Bodies up to this are small, in bytes: nearly all deliveries are. What is longer leaves room for them.
const SMALL: usize = 256 * 1024;

/// The budget that all bodies share. What a sender announces counts for nothing: only what has arrived is held.
pub(super) struct BodyBudget {
    all: usize,
    per_client: usize,
    held: Mutex<HeldBytes>,
}

#[derive(Default)]
struct HeldBytes {
    all: usize,
    /// By client, and by its site.
    by_client: HashMap<IpNet, usize>,
    by_site: HashMap<IpNet, usize>,
}

/// What one body holds of the budget; given back when it is dropped.
pub(super) struct BodyShare {
    budget: Arc<BodyBudget>,
    client: IpNet,
    bytes: usize,
}

impl BodyBudget {
    /// A budget of so many bytes, of which one client may hold so many.
    pub(super) fn new(all: usize, per_client: usize) -> Arc<BodyBudget> {
        Arc::new(BodyBudget { all, per_client, held: Mutex::default() })
    }

    /// The share of a client's body that has not begun.
    pub(super) fn share(self: &Arc<Self>, client: IpNet) -> BodyShare {
        BodyShare { budget: self.clone(), client, bytes: 0 }
    }

    /// How many bytes are held, in all.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.lock().unwrap().all
    }
}

impl BodyShare {
    /// Takes so many bytes more; `false`, and nothing, where the budget has no room for them.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let BodyBudget { all, per_client, held } = &*self.budget;
        let mut held = held.lock().expect("nobody panics while counting bytes");
        let mine = held.by_client.get(&self.client).copied().unwrap_or_default();
        let most = |of: usize| if self.bytes + more > SMALL { of - of / 4 } else { of };
        let site = site(self.client);
        let ours = held.by_site.get(&site).copied().unwrap_or_default();
        // Half of all, unless one client may have more than that.
        let per_site = (all / 2).max(*per_client);
        if held.all + more > most(*all) || ours + more > most(per_site) || mine + more > most(*per_client) {
            return false;
        }
        held.all += more;
        *held.by_site.entry(site).or_default() += more;
        *held.by_client.entry(self.client).or_default() += more;
        self.bytes += more;
        true
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock().expect("nobody panics while counting bytes");
        held.all -= self.bytes;
        let HeldBytes { by_client, by_site, .. } = &mut *held;
        for (counted, key) in [(by_client, self.client), (by_site, site(self.client))] {
            if let Some(bytes) = counted.get_mut(&key) {
                *bytes -= self.bytes;
                if *bytes == 0 {
                    counted.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: &str) -> IpNet {
        crate::client::network(address.parse().unwrap())
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones_and_no_client_takes_all() {
        let budget = BodyBudget::new(8 * SMALL, 4 * SMALL);
        let mut large = budget.share(net("192.0.2.1"));
        assert!(large.grow(3 * SMALL) && !large.grow(1), "three quarters of its client's share");
        let mut small = budget.share(net("192.0.2.1"));
        assert!(small.grow(SMALL) && !small.grow(1));
        assert!(!budget.share(net("192.0.2.1")).grow(1), "the client's share is used up");
        let mut other = budget.share(net("192.0.2.2"));
        assert!(other.grow(2 * SMALL) && !other.grow(1), "three quarters of all");
        assert!(budget.share(net("192.0.2.3")).grow(SMALL));
        drop((large, small, other));
        assert_eq!((budget.held(), budget.held.lock().unwrap().by_client.len()), (0, 0));
    }

    #[test]
    fn a_site_with_many_64s_does_not_hold_all() {
        let budget = BodyBudget::new(8 * SMALL, SMALL);
        let of = |site: u16, n: u16| crate::client::network([0x2001, 0xdb8, site, n, 0, 0, 0, 1].into());
        let mut many: Vec<_> = (0..5).map(|n| budget.share(of(7, n))).collect();
        assert!(many[..4].iter_mut().all(|share| share.grow(SMALL)), "half of all");
        assert!(!many[4].grow(1), "another /64 of it gets nothing");
        assert!(budget.share(of(8, 1)).grow(SMALL));
        drop(many);
        assert_eq!((budget.held(), budget.held.lock().unwrap().by_site.len()), (0, 0));
    }
}
