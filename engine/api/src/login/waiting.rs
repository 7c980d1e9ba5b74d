//! Who is verified, or waits for it.

use ipnet::IpNet;
use std::collections::HashMap;
use std::sync::Mutex;

/// How many logins are verified or wait for it at once.
pub(super) const WAITING: usize = 16;

/// How many of them may be of one site.
pub(super) const OF_ONE_SITE: usize = WAITING / 2;

/// The logins that are verified or wait for it, by the site that they come from.
#[derive(Default)]
pub(super) struct WaitingLogins {
    by_site: Mutex<HashMap<IpNet, usize>>,
}

/// One of them; its place is free again when this is dropped.
pub(super) struct WaitingLogin<'a> {
    waiting: &'a WaitingLogins,
    site: IpNet,
}

impl WaitingLogins {
    /// Takes a place; `None` where all of them are taken, or all that one site may have.
    pub(super) fn take(&self, site: IpNet) -> Option<WaitingLogin<'_>> {
        let mut by_site = self.by_site.lock().expect("nobody panics while counting logins");
        let mine = by_site.get(&site).copied().unwrap_or_default();
        if mine >= OF_ONE_SITE || by_site.values().sum::<usize>() >= WAITING {
            return None;
        }
        by_site.insert(site, mine + 1);
        Some(WaitingLogin { waiting: self, site })
    }
}

impl Drop for WaitingLogin<'_> {
    fn drop(&mut self) {
        let mut by_site = self.waiting.by_site.lock().expect("nobody panics while counting logins");
        if let Some(mine) = by_site.get_mut(&self.site) {
            *mine -= 1;
            if *mine == 0 {
                by_site.remove(&self.site);
            }
        }
    }
}
