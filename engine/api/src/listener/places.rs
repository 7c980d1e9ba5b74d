//! Who holds a connection, and what it does there.

use super::ConnectionLimits;
use crate::client::site;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// The connections of one listener.
pub(super) struct ConnectionPlaces {
    connections: usize,
    per_client: usize,
    /// Half of all, unless one client may have more.
    per_site: usize,
    streams: usize,
    streams_per_client: usize,
    streams_per_site: usize,
    held: Mutex<HeldPlaces>,
}

#[derive(Default)]
struct HeldPlaces {
    /// Counts up with each change: who has the lowest number has not moved for longest.
    moves: u64,
    by_number: BTreeMap<u64, OneTaken>,
}

struct OneTaken {
    /// Absent for a proxy's, which are many clients'.
    client: Option<IpNet>,
    doing: Doing,
    since: u64,
    evicted: CancellationToken,
}

/// What a connection does, in the order in which it is given up for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    /// It waits for a request, or for the rest of a request's head.
    Waiting,
    /// A request's body is coming.
    Receiving,
    /// It is answered.
    Answering,
    /// It carries a stream of events.
    Streaming,
}

/// One connection; its place is free again when this is dropped.
pub(super) struct Place {
    places: Arc<ConnectionPlaces>,
    number: u64,
    evicted: CancellationToken,
}

impl ConnectionPlaces {
    pub(super) fn new(limits: &ConnectionLimits) -> Arc<ConnectionPlaces> {
        Arc::new(ConnectionPlaces {
            connections: limits.connections,
            per_client: limits.per_client,
            per_site: (limits.connections / 2).max(limits.per_client),
            streams: limits.streams,
            streams_per_client: limits.streams_per_client,
            streams_per_site: (limits.streams / 2).max(limits.streams_per_client),
            held: Mutex::default(),
        })
    }

    /// Takes a place, another connection's if need be; `None` where all of them are at work.
    pub(super) fn take(self: &Arc<Self>, client: Option<IpNet>) -> Option<Place> {
        let mut taken = self.lock();
        let (mut shares, mut of_sites): (HashMap<_, usize>, HashMap<_, usize>) = (HashMap::new(), HashMap::new());
        for one in taken.by_number.values().filter(|one| one.doing != Doing::Streaming) {
            *shares.entry(one.client).or_default() += 1;
            *of_sites.entry(one.client.map(site)).or_default() += 1;
        }
        let has_share = client.is_none() || shares.get(&client).is_none_or(|mine| *mine < self.per_client);
        let site_has_share =
            client.is_none() || of_sites.get(&client.map(site)).is_none_or(|ours| *ours < self.per_site);
        if !has_share || !site_has_share || shares.values().sum::<usize>() >= self.connections {
            let is_meant = |one: &OneTaken| {
                one.doing < Doing::Answering
                    && (has_share || one.client == client)
                    && (site_has_share || one.client.map(site) == client.map(site))
            };
            // Of those that do least, one of the site that has most, and there of the client that has most; of these, who
            // has not moved for longest.
            let rank = |one: &OneTaken| {
                let (site, client) = (of_sites[&one.client.map(site)], shares[&one.client]);
                (one.doing, std::cmp::Reverse((site, client)), one.since)
            };
            let meant = taken.by_number.iter().filter(|(_, one)| is_meant(one));
            let number = meant.min_by_key(|(_, one)| rank(one)).map(|(number, _)| *number)?;
            taken.by_number.remove(&number)?.evicted.cancel();
        }
        let (number, evicted) = (taken.next(), CancellationToken::new());
        let one = OneTaken { client, doing: Doing::Waiting, since: number, evicted: evicted.clone() };
        taken.by_number.insert(number, one);
        Some(Place { places: self.clone(), number, evicted })
    }

    fn lock(&self) -> MutexGuard<'_, HeldPlaces> {
        self.held.lock().expect("nobody panics while holding the places")
    }
}

impl HeldPlaces {
    fn next(&mut self) -> u64 {
        self.moves += 1;
        self.moves
    }
}

impl Place {
    /// Returns when this connection is given up for another one.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// A request's head is here.
    pub(super) fn receiving(&self) {
        self.becomes(Doing::Receiving);
    }

    /// A request is here as a whole, or is answered without the rest of it.
    pub(super) fn answering(&self) {
        self.becomes(Doing::Answering);
    }

    /// The answer was sent.
    pub(super) fn waiting(&self) {
        self.becomes(Doing::Waiting);
    }

    /// Whether it carries a stream of events.
    pub(super) fn is_streaming(&self) -> bool {
        self.places.lock().by_number.get(&self.number).is_some_and(|one| one.doing == Doing::Streaming)
    }

    fn becomes(&self, doing: Doing) {
        let mut taken = self.places.lock();
        let since = taken.next();
        // A connection that carried a stream is closed after it.
        if let Some(one) = taken.by_number.get_mut(&self.number).filter(|one| one.doing != Doing::Streaming) {
            (one.doing, one.since) = (doing, since);
        }
    }

    /// Leaves its place among the requests for one among the streams; `false` where none of these is free.
    fn stream(&self) -> bool {
        let mut taken = self.places.lock();
        let Some(client) = taken.by_number.get(&self.number).map(|one| one.client) else { return true };
        let streams = taken.by_number.values().filter(|one| one.doing == Doing::Streaming);
        let (mut all, mut mine, mut ours) = (0, 0, 0);
        for one in streams {
            all += 1;
            mine += usize::from(one.client == client);
            ours += usize::from(one.client.map(site) == client.map(site));
        }
        let has_share = mine < self.places.streams_per_client && ours < self.places.streams_per_site;
        let is_free = all < self.places.streams && (client.is_none() || has_share);
        if let Some(one) = taken.by_number.get_mut(&self.number).filter(|_| is_free) {
            one.doing = Doing::Streaming;
        }
        is_free
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by_number.remove(&self.number);
    }
}

/// A stream of events, by the connection that asks for it.
pub(crate) struct StreamPlace;

impl<S: Sync> FromRequestParts<S> for StreamPlace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<StreamPlace, Problem> {
        match parts.extensions.get::<Arc<Place>>() {
            Some(place) if !place.stream() => {
                let help = "close pages that you do not look at; this one tries again by itself";
                let got = "too many streams of events are open";
                let tried = format!("following `{}`", parts.uri.path());
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, tried, got, help).retry_after(3))
            }
            _ => Ok(StreamPlace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_client: usize) -> Arc<ConnectionPlaces> {
        let streams = ConnectionLimits { streams: 2, streams_per_client: 1, ..ConnectionLimits::default() };
        ConnectionPlaces::new(&ConnectionLimits { connections, per_client, ..streams })
    }

    fn net(address: &str) -> Option<IpNet> {
        Some(crate::client::network(address.parse().unwrap()))
    }

    #[test]
    fn who_waits_for_longest_gives_way() {
        let places = places(2, 2);
        let (first, second) = (places.take(net("192.0.2.1")).unwrap(), places.take(net("192.0.2.2")).unwrap());
        first.receiving();
        first.waiting();
        let third = places.take(net("192.0.2.3")).unwrap();
        assert!(second.evicted.is_cancelled() && !first.evicted.is_cancelled());
        first.answering();
        third.receiving();
        third.answering();
        assert!(places.take(net("192.0.2.4")).is_none(), "both are at work");
        drop(third);
        assert!(places.take(net("192.0.2.4")).is_some());
    }

    #[test]
    fn a_client_takes_from_nobody_but_itself() {
        let places = places(10, 2);
        let other = places.take(net("2001:db8::1")).unwrap();
        let mine = [places.take(net("2001:db8:1::1")).unwrap(), places.take(net("2001:db8:1::2")).unwrap()];
        let third = places.take(net("2001:db8:1::3")).unwrap();
        assert!(mine[0].evicted.is_cancelled() && !other.evicted.is_cancelled());
        mine[1].answering();
        third.answering();
        assert!(places.take(net("2001:db8:1::4")).is_none(), "its share is at work");
        assert!(places.take(net("2001:db8:2::1")).is_some());
        let behind_a_proxy: Vec<Place> = (0..7).map(|_| places.take(None).unwrap()).collect();
        assert_eq!(behind_a_proxy.len(), 7, "whoever comes by a proxy has no share");
    }

    #[test]
    fn a_site_takes_half_of_the_places_however_many_64s_it_has() {
        let places = places(8, 2);
        let of = |site: u16, n: u16| Some(crate::client::network([0x2001, 0xdb8, site, n, 0, 0, 0, 1].into()));
        let other = places.take(of(9, 1)).unwrap();
        let many: Vec<Place> = (0..4).map(|n| places.take(of(7, n)).unwrap()).collect();
        many[1..].iter().for_each(Place::answering);
        let fifth = places.take(of(7, 5)).unwrap();
        assert!(many[0].evicted.is_cancelled() && !other.evicted.is_cancelled(), "it takes from its own");
        fifth.answering();
        assert!(places.take(of(7, 6)).is_none(), "half of the places are at work for it");
        assert!(fifth.stream(), "the first of its streams");
        let sixth = places.take(of(7, 6)).unwrap();
        assert!(!sixth.stream(), "half of the streams are its own");
        assert!(other.stream());
    }

    #[test]
    fn a_listener_that_is_full_gives_up_what_the_greediest_has() {
        let places = places(4, 3);
        let modest = places.take(net("192.0.2.9")).unwrap();
        let greedy: Vec<Place> = (0..3).map(|_| places.take(net("192.0.2.1")).unwrap()).collect();
        greedy.iter().for_each(Place::receiving);
        let next = places.take(net("192.0.2.2")).unwrap();
        assert!(modest.evicted.is_cancelled(), "it only waited, and a body that comes is worth more");
        let another = places.take(net("192.0.2.3")).unwrap();
        assert!(!greedy[0].evicted.is_cancelled() && next.evicted.is_cancelled());
        another.receiving();
        let last = places.take(net("192.0.2.4"));
        assert!(last.is_some() && greedy[0].evicted.is_cancelled() && !another.evicted.is_cancelled());
    }

    #[test]
    fn streams_are_counted_apart() {
        let places = places(1, 1);
        let streams = ["192.0.2.1", "192.0.2.2"].map(|client| {
            let place = places.take(net(client)).unwrap();
            assert!(place.stream());
            place
        });
        let third = places.take(net("192.0.2.1")).unwrap();
        assert!(!third.stream(), "two are the most");
        assert!(streams.iter().all(|place| place.is_streaming() && !place.evicted.is_cancelled()));
    }

    #[test]
    fn the_listeners_leave_descriptors_to_the_server() {
        for descriptors in [256, 1_024, 4_096, 1 << 20] {
            let one = ConnectionLimits::default().within(descriptors);
            let both = 2 * (one.connections + one.streams) as u64;
            assert!(both <= descriptors * 3 / 4, "{both} of {descriptors}");
            assert!(one.per_client >= 4 && one.streams_per_client >= 4);
        }
    }
}
