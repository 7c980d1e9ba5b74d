//! What the containers of steps may use: the table `[containers]`.

use serde::Deserialize;

/// The bounds of one container, and of all together.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Containers {
    /// Memory, in MiB; there is no swap beside it.
    pub memory_mib: u64,
    /// Processor cores, as a fraction.
    pub cpus: f64,
    /// Processes and threads together.
    pub processes: u64,
    /// The workspace of a run, in MiB; the cache of a branch may be as large again.
    pub disk_mib: u64,
    /// What it prints, in MiB.
    pub log_mib: u64,
    /// How many run at the same time; further ones wait.
    pub at_once: usize,
    /// How long one that is cancelled or out of time has to end by itself, once it was told, in s.
    pub grace_s: u64,
    /// How many caches are kept; the least recently used go first.
    pub caches: usize,
}

impl Default for Containers {
    fn default() -> Containers {
        Containers {
            memory_mib: 2048,
            cpus: 2.0,
            processes: 512,
            disk_mib: 4096,
            log_mib: 32,
            at_once: 8,
            grace_s: 10,
            caches: 16,
        }
    }
}

impl Containers {
    /// Finds the bounds that no container could live in.
    pub(super) fn check(&self, found: &mut Vec<String>) {
        let rows = [
            ("memory-mib", self.memory_mib, 16, 1 << 24),
            ("processes", self.processes, 4, 1 << 20),
            ("disk-mib", self.disk_mib, 16, 1 << 24),
            ("log-mib", self.log_mib, 1, 1 << 14),
            ("at-once", self.at_once as u64, 1, 1 << 14),
            ("grace-s", self.grace_s, 0, 60),
            ("caches", self.caches as u64, 1, 1 << 14),
        ];
        for (name, value, least, most) in rows {
            if !(least..=most).contains(&value) {
                found.push(format!("containers: `{name}` is {value}; write {least} to {most}"));
            }
        }
        if !(0.1..=1024.0).contains(&self.cpus) {
            found.push(format!("containers: `cpus` is {}; write 0.1 to 1024", self.cpus));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn bounds_that_nothing_can_live_in_are_named() {
        let text = "[server]\ndata = \"d\"\n[containers]\nmemory-mib = 0\ncpus = 0.0\nprocesses = 512\ngrace-s = 61\n";
        let mistakes = Config::parse("bespin.toml", text).expect_err("nothing can live in this").to_string();
        assert!(mistakes.contains("`memory-mib` is 0; write 16 to") && mistakes.contains("`cpus` is 0"), "{mistakes}");
        assert!(!mistakes.contains("processes"), "{mistakes}");
        assert!(mistakes.contains("`grace-s` is 61; write 0 to 60"), "{mistakes}");
    }
}
